import type { Caller } from '../core/account.ts'
import { AppError } from '../core/errors.ts'
import { may, type Permission } from '../core/permissions.ts'

// biome-ignore lint/performance/noBarrelFile: the rules are pure, so core/ has them; here is where faces look
export { isAdmin, may, PERMISSIONS, type Permission } from '../core/permissions.ts'

/** Throws `forbidden` naming what is missing. */
export function assertMay(caller: Caller, permission: Permission): void {
  if (may(caller, permission)) return
  throw new AppError('forbidden', `this token may not do that: it lacks ${permission}`, {
    permission,
  })
}
