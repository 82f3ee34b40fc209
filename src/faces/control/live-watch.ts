import { assertMay } from '../../auth/permissions.ts'
import type { Caller } from '../../core/account.ts'
import { AppError } from '../../core/errors.ts'
import type { Topic } from '../../core/events.ts'
import { may, type Permission } from '../../core/permissions.ts'
import type { Subscription } from '../../live/session.ts'
import type { Gate } from '../auth.ts'
import type { Services } from '../face.ts'

/** A token that is revoked ends what it opened, this late at most. One that expires ends it at its time. */
export const LOOK_AGAIN_MS = 30_000

const READ: Readonly<Record<Topic, Permission>> = {
  operation: 'operations.read',
  source: 'sources.read',
  snapshot: 'snapshots.read',
  pool: 'pools.read',
  device: 'devices.read',
}

/** What a feed may tell this caller at all, whatever he subscribes to. */
export const readableTopics = (caller: Caller): ReadonlySet<Topic> =>
  new Set((Object.keys(READ) as Topic[]).filter((topic) => may(caller, READ[topic])))

/** Throws `forbidden` naming what is missing for what was asked. */
export function assertMayHear(caller: Caller, subscription: Subscription): void {
  for (const topic of subscription.topics) assertMay(caller, READ[topic])
  if (subscription.operationIds.size > 0) assertMay(caller, READ.operation)
  if (subscription.sourceIds.size > 0) assertMay(caller, READ.source)
}

/** Whoever has this token, if he may read the feed at all. */
export async function identifyReader(
  gate: Gate,
  token: string | null,
  address: string,
): Promise<Caller> {
  const caller = await gate.identify(token, address)
  assertMay(caller, READ.operation)
  return caller
}

export interface WatchOptions {
  readonly caller: Caller
  readonly identify: () => Promise<Caller>
  readonly clock: Pick<Services['clock'], 'nowMs'>
  readonly lookAgainMs: number
  /** Told once: the token is good no more, or (no `AppError`) nobody can tell. */
  readonly ended: (why: unknown) => void
}

/** Looks at a token now and then for as long as its feed is open; answers how to stop. */
export function watchCaller(options: WatchOptions): () => void {
  let timer: NodeJS.Timeout | undefined
  let isStopped = false
  const wait = ({ expiresAtMs }: Caller) => {
    const leftMs = expiresAtMs === null ? Infinity : expiresAtMs - options.clock.nowMs()
    timer = setTimeout(look, Math.max(1, Math.min(options.lookAgainMs, leftMs)))
    timer.unref()
  }
  const look = () => {
    options.identify().then(
      (caller) => {
        if (!isStopped) wait(caller)
      },
      (error: unknown) => {
        if (isStopped) return
        // Too many wrong tokens from this address: that says nothing of this one.
        if (error instanceof AppError && error.code === 'rate_limited') return wait(options.caller)
        isStopped = true
        options.ended(error)
      },
    )
  }
  wait(options.caller)
  return () => {
    isStopped = true
    clearTimeout(timer)
  }
}
