import type { Kysely } from 'kysely'
import { AppError } from '../core/errors.ts'
import { countLive } from '../store/operation-counts.ts'
import type { Tables } from '../store/tables.ts'

/** Operations of one account that have not ended. */
export const LIVE_PER_ACCOUNT_MAX = 10_000
/** So much of what is still free is submitted before it is counted again: other processes submit, too. */
const UNCOUNTED_SHARE = 0.125
const ACCOUNTS_MAX = 10_000

/**
 * Keeps one account from filling the queue of all. Counting costs as much as
 * there is to count, so far below the limit it is seldom done; close to it, at
 * every submission.
 */
export class QueueLimit {
  readonly #max: number
  /** How many an account may submit before it is counted again. */
  readonly #uncounted = new Map<string, number>()

  constructor(max = LIVE_PER_ACCOUNT_MAX) {
    this.#max = max
  }

  /** Counts one more; throws `rate_limited` where that is one too many. */
  async take(sql: Kysely<Tables>, accountId: string): Promise<void> {
    const uncounted = this.#uncounted.get(accountId) ?? 0
    if (uncounted > 0) {
      this.#uncounted.set(accountId, uncounted - 1)
      return
    }
    // The one that is submitted is among them.
    const count = await countLive(sql, accountId)
    if (count > this.#max) throw tooMany(count - 1, this.#max)
    if (this.#uncounted.size >= ACCOUNTS_MAX) this.#uncounted.clear()
    this.#uncounted.set(accountId, Math.floor((this.#max - count) * UNCOUNTED_SHARE))
  }
}

const tooMany = (count: number, max: number): AppError =>
  new AppError(
    'rate_limited',
    `${count} operations of this account have not ended yet, and ${max} may wait or run at once: ` +
      'let some end, or cancel them',
    { liveOperations: count, liveOperationsMax: max },
  )
