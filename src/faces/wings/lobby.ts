/** Sockets of one address that nobody has signed in on yet, on all servers. */
const PER_ADDRESS_MAX = 60

/** Where sockets wait until somebody signs in on them: those of one address leave room for the others. */
export class Lobby {
  readonly #waiting = new Map<string, number>()

  /** Answers how to leave, which may be called again; `null` where the address has too many here. */
  enter(address: string): (() => void) | null {
    const count = this.#waiting.get(address) ?? 0
    if (count >= PER_ADDRESS_MAX) return null
    this.#waiting.set(address, count + 1)
    let isHere = true
    return () => {
      if (!isHere) return
      isHere = false
      const left = (this.#waiting.get(address) ?? 1) - 1
      if (left === 0) this.#waiting.delete(address)
      else this.#waiting.set(address, left)
    }
  }
}
