/** How fast messages may come: a bucket of `burst` that gains one every `intervalMs`. */
interface Limit {
  readonly intervalMs: number
  readonly burst: number
}

/** seed 000 upstream, "messages faster than 1 per 200 ms, burst 10", and by event. */
const GLOBAL: Limit = { intervalMs: 200, burst: 10 }
const BY_EVENT: Readonly<Record<string, Limit>> = {
  auth: { intervalMs: 5_000, burst: 2 },
  'send logs': { intervalMs: 5_000, burst: 2 },
  'send command': { intervalMs: 1_000, burst: 10 },
}
const OTHERS: Limit = { intervalMs: 1_000, burst: 4 }
/** Event names that a peer makes up share one bucket: it cannot grow the table. */
const KNOWN_EVENTS = new Set(['auth', 'send logs', 'send command', 'send stats', 'set state'])

export interface Refusal {
  readonly scope: string
  /** Once a period: the peer is told, and then dropped in silence. */
  readonly tell: boolean
}

class Bucket {
  readonly #limit: Limit
  #left: number
  #atMs: number | null = null
  #toldAtMs: number | null = null

  constructor(limit: Limit) {
    this.#limit = limit
    this.#left = limit.burst
  }

  take(nowMs: number): boolean {
    const { intervalMs, burst } = this.#limit
    const gained = (nowMs - (this.#atMs ?? nowMs)) / intervalMs
    this.#left = Math.min(burst, this.#left + gained)
    this.#atMs = nowMs
    if (this.#left < 1) return false
    this.#left -= 1
    return true
  }

  refuse(scope: string, nowMs: number): Refusal {
    const tell = this.#toldAtMs === null || nowMs - this.#toldAtMs >= this.#limit.intervalMs
    if (tell) this.#toldAtMs = nowMs
    return { scope, tell }
  }
}

/** The limits of one socket. */
export class MessageLimits {
  readonly #global = new Bucket(GLOBAL)
  readonly #byEvent = new Map<string, Bucket>()

  /** `null`: the message passes. */
  admit(event: string, nowMs: number): Refusal | null {
    if (!this.#global.take(nowMs)) return this.#global.refuse('global', nowMs)
    const name = KNOWN_EVENTS.has(event) ? event : 'other'
    const bucket = this.#byEvent.get(name) ?? new Bucket(BY_EVENT[name] ?? OTHERS)
    this.#byEvent.set(name, bucket)
    return bucket.take(nowMs) ? null : bucket.refuse(event, nowMs)
  }
}
