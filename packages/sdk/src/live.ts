import { backoffMs } from './backoff.ts'
import { HoldfastError } from './errors.ts'
import {
  type LiveConnection,
  openEventStream,
  openWebSocket,
  type WebSocketConstructor,
} from './live-connection.ts'
import type { LiveMessage, LiveSubject } from './wire/live.ts'

/**
 * `connecting` until the first message or the first failure; `live` while
 * messages come; `offline` from a loss until it is live again. It keeps trying.
 */
export type LiveState = 'connecting' | 'live' | 'offline'

export interface LiveFeedOptions {
  readonly url: string
  readonly token: () => Promise<string | null>
  readonly fetch?: typeof fetch
  /** `null`: there are none here, use Server-Sent Events. The global one when left out. */
  readonly webSocket?: WebSocketConstructor | null
  readonly reconnectFirstMs?: number
  readonly reconnectMaxMs?: number
  /** A socket that stays silent gets a ping after this long, and is given up after as long again. */
  readonly heartbeatMs?: number
  /** A way that says nothing for this long after it was opened is blocked: try the other. */
  readonly openTimeoutMs?: number
  /** The connection is kept this long after the last subscriber left. */
  readonly lingerMs?: number
}

export type LiveListener = (message: LiveMessage) => void

interface Subscriber {
  readonly subjects: readonly LiveSubject[]
  readonly listener: LiveListener
}

const DEFAULTS = {
  reconnectFirstMs: 250,
  reconnectMaxMs: 10_000,
  heartbeatMs: 15_000,
  openTimeoutMs: 8_000,
  lingerMs: 1_000,
}

type Way = LiveConnection['way']

/**
 * One connection to the live feed, however many listen.
 *
 *     closed ──first subscriber──> opening ──first message──> open
 *       ↑                            ↑  │                       │
 *       └──last one left (linger)    │  └─────> waiting <───────┘ loss
 *                                    └────backoff──┘
 *
 * Each opening tries the WebSocket first, and Server-Sent Events at once where
 * the socket does not come up: some proxies let only plain requests through.
 */
export class LiveFeed {
  readonly #options: LiveFeedOptions & typeof DEFAULTS
  readonly #subscribers = new Set<Subscriber>()
  readonly #stateListeners = new Set<(state: LiveState) => void>()
  #state: LiveState = 'connecting'
  #connection: LiveConnection | null = null
  /** Rises with every connection: what an older one still says is not heard. */
  #generation = 0
  #failures = 0
  #since: number | null = null
  #spoken = false
  #timers: { [name in 'reconnect' | 'heartbeat' | 'linger']?: ReturnType<typeof setTimeout> } = {}
  #failure: HoldfastError | null = null
  #running = false

  constructor(options: LiveFeedOptions) {
    this.#options = { ...DEFAULTS, ...options }
  }

  get state(): LiveState {
    return this.#state
  }

  /** Why the server refuses the feed, such as a token that has expired; `null` while nothing is refused. */
  get failure(): HoldfastError | null {
    return this.#failure
  }

  /** How the feed comes at present; `null` while there is no connection. */
  get way(): Way | null {
    return this.#connection?.way ?? null
  }

  /** Tells the listener every message about its subjects, until the returned function is called. */
  subscribe(subjects: readonly LiveSubject[], listener: LiveListener): () => void {
    const before = this.#subjects()
    const subscriber = { subjects, listener }
    this.#subscribers.add(subscriber)
    this.#clear('linger')
    if (!this.#running) this.#start()
    else if (subjects.some((subject) => !before.has(subject))) this.#resubscribe()
    return () => {
      if (!this.#subscribers.delete(subscriber) || this.#subscribers.size > 0) return
      this.#timers.linger = setTimeout(() => this.close(), this.#options.lingerMs)
    }
  }

  onState(listener: (state: LiveState) => void): () => void {
    const own = (state: LiveState) => listener(state)
    this.#stateListeners.add(own)
    return () => this.#stateListeners.delete(own)
  }

  /** Tries again at once, as when a device comes back to its network or got a new token. */
  reconnect(): void {
    if (!this.#running) return
    this.#failures = 0
    this.#failure = null
    this.#open('websocket')
  }

  /** Ends the connection and its timers. A later subscriber starts it again. */
  close(): void {
    this.#running = false
    this.#drop()
    for (const name of ['reconnect', 'heartbeat', 'linger'] as const) this.#clear(name)
    const target = globalThis as Partial<EventTarget>
    target.removeEventListener?.('online', this.#onOnline)
    this.#say('connecting')
  }

  readonly #onOnline = () => this.reconnect()

  #start(): void {
    this.#running = true
    this.#failures = 0
    const target = globalThis as Partial<EventTarget>
    target.addEventListener?.('online', this.#onOnline)
    this.#open('websocket')
  }

  #subjects(): Set<LiveSubject> {
    return new Set([...this.#subscribers].flatMap(({ subjects }) => subjects))
  }

  #resubscribe(): void {
    // A subject that is new has missed nothing that others have seen: without
    // `since` the server answers with what runs now.
    const subscription = { subjects: [...this.#subjects()], since: null }
    if (this.#connection?.subscribe(subscription)) return
    if (this.#connection !== null) this.#open(this.#connection.way)
  }

  #open(wanted: Way): void {
    this.#drop()
    this.#clear('reconnect')
    this.#spoken = false
    const generation = this.#generation
    const Socket =
      this.#options.webSocket === undefined
        ? (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket
        : (this.#options.webSocket ?? undefined)
    const way = Socket === undefined ? 'events' : wanted
    this.#options.token().then(
      (token) => {
        if (generation !== this.#generation) return
        const subscription = { subjects: [...this.#subjects()], since: this.#since }
        const options = { url: this.#options.url, token, subscription }
        const events = this.#eventsOf(generation, way)
        this.#connection =
          way === 'websocket' && Socket !== undefined
            ? openWebSocket(Socket, options, events)
            : openEventStream(this.#options.fetch ?? fetch, options, events)
        this.#expectSign(generation, way)
      },
      () => this.#lost(generation, way),
    )
  }

  #eventsOf(generation: number, way: Way) {
    return {
      onMessage: (message: LiveMessage) => {
        if (generation === this.#generation) this.#take(message, generation, way)
      },
      onSign: () => {
        if (generation === this.#generation) this.#expectSign(generation, way)
      },
      onEnd: (error: Error | null) => {
        if (generation !== this.#generation) return
        if (error instanceof HoldfastError) this.#refused(error)
        this.#lost(generation, way)
      },
    }
  }

  #take(message: LiveMessage, generation: number, way: Way): void {
    if (message.type === 'error') {
      this.#refused(new HoldfastError(message.code, 0, message.message))
      return
    }
    this.#spoken = true
    this.#expectSign(generation, way)
    if (message.type === 'pong') return
    this.#failures = 0
    this.#failure = null
    this.#say('live')
    if (message.type !== 'progress') {
      this.#since =
        message.type === 'resync' ? message.sequence : Math.max(this.#since ?? 0, message.sequence)
    }
    for (const { subjects, listener } of [...this.#subscribers]) {
      if (isAbout(message, subjects)) listener(message)
    }
  }

  #refused(error: HoldfastError): void {
    this.#failure = error
  }

  #lost(generation: number, way: Way): void {
    if (generation !== this.#generation || !this.#running) return
    const blocked = way === 'websocket' && !this.#spoken
    this.#drop()
    if (blocked && this.#failure === null) {
      this.#open('events')
      return
    }
    this.#say('offline')
    this.#failures += 1
    const limits = {
      firstMs: this.#options.reconnectFirstMs,
      maxMs: this.#options.reconnectMaxMs,
    }
    this.#timers.reconnect = setTimeout(
      () => this.#open('websocket'),
      backoffMs(this.#failures, limits),
    )
  }

  /** Any sign of life starts the watch anew: first a ping, then the connection is given up. */
  #expectSign(generation: number, way: Way): void {
    this.#clear('heartbeat')
    const { heartbeatMs, openTimeoutMs } = this.#options
    const giveUp = () => this.#lost(generation, way)
    if (!this.#spoken) {
      this.#timers.heartbeat = setTimeout(giveUp, openTimeoutMs)
      return
    }
    this.#timers.heartbeat = setTimeout(
      () => {
        this.#connection?.ping()
        this.#timers.heartbeat = setTimeout(giveUp, heartbeatMs)
      },
      // A stream cannot be asked: it has longer.
      way === 'websocket' ? heartbeatMs : heartbeatMs * 3,
    )
  }

  #drop(): void {
    this.#generation += 1
    this.#connection?.close()
    this.#connection = null
    this.#clear('heartbeat')
  }

  #clear(name: 'reconnect' | 'heartbeat' | 'linger'): void {
    clearTimeout(this.#timers[name])
    delete this.#timers[name]
  }

  #say(state: LiveState): void {
    if (this.#state === state) return
    this.#state = state
    for (const listener of [...this.#stateListeners]) listener(state)
  }
}

const TOPIC_OF = {
  operation: 'operations',
  source: 'sources',
  snapshot: 'snapshots',
  pool: 'pools',
  device: 'devices',
} as const

/** Whether a listener to these subjects wants to know. */
export function isAbout(message: LiveMessage, subjects: readonly LiveSubject[]): boolean {
  if (message.type === 'progress') {
    const own: LiveSubject[] = ['operations', `operation:${message.operationId}`]
    if (message.sourceId !== null) own.push(`source:${message.sourceId}`)
    return own.some((subject) => subjects.includes(subject))
  }
  if (message.type !== 'event') return true
  const { topic, topicId } = message.event
  const sourceId = message.operation?.sourceId ?? null
  const own: LiveSubject[] = [TOPIC_OF[topic]]
  if (topic === 'operation') own.push(`operation:${topicId}`)
  if (topic === 'source') own.push(`source:${topicId}`)
  if (sourceId !== null) own.push(`source:${sourceId}`)
  return own.some((subject) => subjects.includes(subject))
}
