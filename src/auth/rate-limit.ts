export interface RateLimitOptions {
  /** How many may come at once. */
  readonly burst: number
  /** How fast room for more comes back. */
  readonly perSecond: number
  /** Keys that are remembered at a time; the one that was quiet longest is forgotten first. */
  readonly keysMax?: number
}

interface Bucket {
  left: number
  atMs: number
}

const KEYS_MAX = 10_000

/** A token bucket for each key, such as an account or an address. Time is an argument and only rises. */
export class RateLimit {
  readonly #burst: number
  readonly #perMs: number
  readonly #keysMax: number
  /** In the order of their last use. */
  readonly #buckets = new Map<string, Bucket>()

  constructor({ burst, perSecond, keysMax = KEYS_MAX }: RateLimitOptions) {
    this.#burst = burst
    this.#perMs = perSecond / 1000
    this.#keysMax = keysMax
  }

  /** Takes one. Answers `null` where there was one, else in how many milliseconds there is. */
  take(key: string, monotonicMs: number): number | null {
    const left = this.#left(key, monotonicMs)
    const taken = left >= 1
    this.#remember(key, { left: taken ? left - 1 : left, atMs: monotonicMs })
    return taken ? null : (1 - left) / this.#perMs
  }

  /** Like `take`, and takes none. */
  ask(key: string, monotonicMs: number): number | null {
    const left = this.#left(key, monotonicMs)
    return left >= 1 ? null : (1 - left) / this.#perMs
  }

  get keyCount(): number {
    return this.#buckets.size
  }

  #left(key: string, nowMs: number): number {
    const bucket = this.#buckets.get(key)
    if (bucket === undefined) return this.#burst
    const passedMs = Math.max(0, nowMs - bucket.atMs)
    return Math.min(this.#burst, bucket.left + passedMs * this.#perMs)
  }

  #remember(key: string, bucket: Bucket): void {
    this.#buckets.delete(key)
    this.#buckets.set(key, bucket)
    if (this.#buckets.size <= this.#keysMax) return
    const [quietest] = this.#buckets.keys()
    if (quietest !== undefined) this.#buckets.delete(quietest)
  }
}
