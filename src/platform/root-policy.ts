import { AppError } from '../core/errors.ts'
import { rootsOf } from '../core/roots.ts'
import { isInside, realPathOf } from './files.ts'

/** Who asks for a folder. */
export interface RootAsker {
  readonly accountId: string
  /** Whether every path is his to name. */
  readonly isAdmin: boolean
}

/**
 * Which folders of this machine an account may protect, restore to, compare
 * and look through (`HOLDFAST_ROOTS`). Where nothing is configured, all that
 * the server's own user can read and write.
 */
export class RootPolicy {
  readonly #configured: readonly string[] | null

  constructor(configured: readonly string[] | null) {
    this.#configured = configured
  }

  /** Real paths; `null` where there is no limit. */
  async rootsFor({ accountId, isAdmin }: RootAsker): Promise<readonly string[] | null> {
    if (this.#configured === null || isAdmin) return null
    return Promise.all(rootsOf(this.#configured, accountId).map(realPathOf))
  }

  /** Links on the way are resolved first. `given` is how the path was named, for the message. */
  async assertAllowed(asker: RootAsker, path: string, given: string = path): Promise<void> {
    const roots = await this.rootsFor(asker)
    if (roots === null) return
    const real = await realPathOf(path)
    if (roots.some((root) => isInside(root, real))) return
    const where =
      roots.length === 0
        ? 'this account has no folders on this server'
        : `it may use what lies in ${roots.join(' or ')}`
    const what = `${given.slice(0, 500)} is outside of the folders of this account`
    throw new AppError('forbidden', `${what}: ${where}; an admin may use every path`)
  }
}
