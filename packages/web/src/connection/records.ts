import type { LiveSnapshot, LiveStore, Topic } from '@holdfast/sdk'

/** What is known of a record: the last good answer stays while a new one is on its way. */
export interface Seen<T> {
  readonly data: T | undefined
  readonly problem: Error | null
}

const REREAD_AFTER_MS = 700

type Load<T> = (signal: AbortSignal) => Promise<T>

const toError = (problem: unknown): Error =>
  problem instanceof Error ? problem : new Error(String(problem))

/** One answer of the server, shared by all who look at it, and read again when the live feed says so. */
export class RecordReader<T> {
  readonly #live: LiveStore
  readonly #load: Load<T>
  readonly #watch: readonly Topic[]
  readonly #listeners = new Set<() => void>()
  #seen: Seen<T> = { data: undefined, problem: null }
  #version = -1
  #state: LiveSnapshot['state'] = 'connecting'
  #running: AbortController | null = null
  #again = false
  #timer: ReturnType<typeof setTimeout> | null = null
  #leaveLive: (() => void) | null = null

  constructor(live: LiveStore, load: Load<T>, watch: readonly Topic[]) {
    this.#live = live
    this.#load = load
    this.#watch = watch
  }

  readonly getSnapshot = (): Seen<T> => this.#seen

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    if (this.#leaveLive === null) {
      this.#version = this.#versionOf(this.#live.getSnapshot())
      this.#leaveLive = this.#live.subscribe(() => this.#heed(this.#live.getSnapshot()))
      this.reload()
    }
    return () => {
      this.#listeners.delete(listener)
      if (this.#listeners.size === 0) this.#rest()
    }
  }

  /** Reads now, or once more after the reading that is under way. */
  readonly reload = (): void => {
    if (this.#running !== null || this.#timer !== null) {
      this.#again = true
      return
    }
    const controller = new AbortController()
    this.#running = controller
    this.#load(controller.signal).then(
      (data) => this.#settle(controller, { data, problem: null }),
      (problem) => this.#settle(controller, { ...this.#seen, problem: toError(problem) }),
    )
  }

  #settle(controller: AbortController, seen: Seen<T>): void {
    if (this.#running !== controller) return
    this.#running = null
    this.#seen = seen
    for (const listener of [...this.#listeners]) listener()
    this.#timer = setTimeout(() => {
      this.#timer = null
      if (!this.#again) return
      this.#again = false
      this.reload()
    }, REREAD_AFTER_MS)
  }

  #versionOf(snapshot: LiveSnapshot): number {
    return this.#watch.reduce((sum, topic) => sum + snapshot.changes[topic], snapshot.resyncs)
  }

  #heed(snapshot: LiveSnapshot): void {
    const version = this.#versionOf(snapshot)
    const isBack = snapshot.state === 'live' && this.#state !== 'live'
    this.#state = snapshot.state
    if (version === this.#version && !(isBack && this.#seen.problem !== null)) return
    this.#version = version
    this.reload()
  }

  #rest(): void {
    this.#leaveLive?.()
    this.#leaveLive = null
    this.#running?.abort()
    this.#running = null
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#again = false
  }
}

const READERS_MAX = 200

/** The readers of one connection, by key. What is not looked at for long is forgotten first. */
export class Records {
  readonly #live: LiveStore
  readonly #readers = new Map<string, RecordReader<unknown>>()

  constructor(live: LiveStore) {
    this.#live = live
  }

  /** The key MUST name everything that `load` depends on. */
  reader<T>(key: string, load: Load<T>, watch: readonly Topic[]): RecordReader<T> {
    const known = this.#readers.get(key)
    if (known !== undefined) return known as RecordReader<T>
    const oldest = this.#readers.keys().next().value
    if (this.#readers.size >= READERS_MAX && oldest !== undefined) this.#readers.delete(oldest)
    const reader = new RecordReader<T>(this.#live, load, watch)
    this.#readers.set(key, reader as RecordReader<unknown>)
    return reader
  }
}
