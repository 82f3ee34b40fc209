/**
 * Which progress is worth saying. A policy is a pure function: it gets what was
 * last said and what could be said now, and answers whether to say it. The
 * first and the last word of an operation never pass through here.
 */
export interface Said {
  readonly atMs: number
  /** Percent where it is known, else the plain count. */
  readonly percent: number | null
  readonly count: number
}

export type ThrottlePolicy = (last: Said | null, next: Said) => boolean

/**
 * Both a step of one percent and some time must have passed; where no percent
 * is known, a step of `minCount` takes its place.
 * seed 000, "Throttling Behavior": "Updates only sent when percentage increases
 * by ≥1%", "Minimum 500ms interval between updates".
 */
export const stepAndInterval =
  (options: {
    readonly minPercent: number
    readonly minCount: number
    readonly minIntervalMs: number
  }): ThrottlePolicy =>
  (last, next) => {
    if (last === null) return true
    if (next.atMs - last.atMs < options.minIntervalMs) return false
    if (next.percent === null || last.percent === null) {
      return next.count - last.count >= options.minCount
    }
    return next.percent - last.percent >= options.minPercent
  }

/**
 * Says a progress that reached a higher bucket than the last one said, and 100 always.
 * seed 003, decisions "5 % rule": floor(p/5) above the last one sent.
 */
export const buckets =
  (percentPerBucket: number): ThrottlePolicy =>
  (last, next) => {
    if (last === null) return true
    if (next.percent === null) return false
    const bucket = (percent: number | null) => Math.floor((percent ?? 0) / percentPerBucket)
    return bucket(next.percent) > bucket(last.percent)
  }

/** Says the newest progress once every interval. */
export const fixedInterval =
  (intervalMs: number): ThrottlePolicy =>
  (last, next) =>
    last === null || next.atMs - last.atMs >= intervalMs

/** Remembers what was said, so that a policy can be asked with one call. */
export class Throttle {
  readonly #policy: ThrottlePolicy
  #last: Said | null = null

  constructor(policy: ThrottlePolicy) {
    this.#policy = policy
  }

  admit(next: Said): boolean {
    if (!this.#policy(this.#last, next)) return false
    this.#last = next
    return true
  }
}
