import { hash } from 'node:crypto'

/** Somebody with a page open asks at least this often: its feed has its token looked at every 30 s. */
const KNOWN_MS = 10 * 60_000
const KNOWN_MAX = 10_000

/** Which tokens were good lately, and from where. Kept as SHA-256; time is an argument and only rises. */
export class KnownTokens {
  /** In the order of their last use. */
  readonly #seenMs = new Map<string, number>()

  has(address: string, token: string, nowMs: number): boolean {
    const seenMs = this.#seenMs.get(keyOf(address, token))
    return seenMs !== undefined && nowMs - seenMs < KNOWN_MS
  }

  add(address: string, token: string, nowMs: number): void {
    const key = keyOf(address, token)
    this.#seenMs.delete(key)
    this.#seenMs.set(key, nowMs)
    if (this.#seenMs.size <= KNOWN_MAX) return
    const [oldest] = this.#seenMs.keys()
    if (oldest !== undefined) this.#seenMs.delete(oldest)
  }

  delete(address: string, token: string): void {
    this.#seenMs.delete(keyOf(address, token))
  }
}

const keyOf = (address: string, token: string): string =>
  `${address} ${hash('sha256', token, 'base64')}`
