import { AppError } from '../../core/errors.ts'

/** How many feeds are open at a time, for each who opens them. */
export class LivePlaces {
  readonly #max: number
  readonly #taken = new Map<string, number>()

  constructor(max: number) {
    this.#max = max
  }

  /** Answers how to give the place back, which may be called again; `null` where all are taken. */
  take(key: string): (() => void) | null {
    const count = this.#taken.get(key) ?? 0
    if (count >= this.#max) return null
    this.#taken.set(key, count + 1)
    let isGivenBack = false
    return () => {
      if (isGivenBack) return
      isGivenBack = true
      const left = (this.#taken.get(key) ?? 1) - 1
      if (left === 0) this.#taken.delete(key)
      else this.#taken.set(key, left)
    }
  }
}

/** An office behind one address comes back all at once when the server was restarted. */
export const UNKNOWN_PER_ADDRESS_MAX = 1_000
export const FEEDS_PER_ACCOUNT_MAX = 2_000

export const tooManyFeeds = (): AppError =>
  new AppError(
    'rate_limited',
    `this account has ${FEEDS_PER_ACCOUNT_MAX} live feeds open, and may have no more: close some`,
    { retryAfterSeconds: 30 },
  )
