import type { Log } from '../platform/log.ts'

/** Tells every listener, whatever another of them does with it. */
export class Listeners<Arguments extends readonly unknown[]> {
  readonly #listeners = new Set<(...news: Arguments) => void>()
  readonly #log: Log | undefined

  constructor(log: Log | undefined) {
    this.#log = log
  }

  /** Answers the function that takes the listener away again. */
  add(listener: (...news: Arguments) => void): () => void {
    // Wrapped, so that the same function can be added twice and taken away once.
    const own = (...news: Arguments) => listener(...news)
    this.#listeners.add(own)
    return () => void this.#listeners.delete(own)
  }

  tell(...news: Arguments): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(...news)
      } catch (error) {
        this.#log?.error('a listener of the store failed', { error })
      }
    }
  }
}
