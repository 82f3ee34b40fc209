import { randomUUID } from 'node:crypto'
import type { Kysely } from 'kysely'
import pg from 'pg'
import type { LoggedEvent } from '../core/events.ts'
import type { Log } from '../platform/log.ts'
import type { WakeListener, WakeTopic } from './database.ts'
import { eventsSince, lastSequence } from './event-log.ts'
import type { Listeners } from './listeners.ts'
import type { Tables } from './tables.ts'

export const EVENT_CHANNEL = 'holdfast_events'
const WAKE_CHANNEL = 'holdfast_wake'

export interface PostgresFeedOptions {
  readonly url: string
  readonly sql: Kysely<Tables>
  readonly events: Listeners<[readonly LoggedEvent[]]>
  readonly wakes: Listeners<Parameters<WakeListener>>
  readonly log: Log | undefined
}

const PAGE_EVENTS = 1_000
const RECONNECT_MIN_MS = 100
const RECONNECT_MAX_MS = 2_000
/** What a broken connection may hide is found this late: the log is read, and the connection tried. */
const CHECK_INTERVAL_MS = 5_000
const ANSWER_TIMEOUT_MS = 4_000
const NOTIFY_ALL = 'select pg_notify($1, payload) from unnest($2::text[]) payload'

/**
 * Tells every event of the log once and in order, whoever wrote it. A
 * notification only says how far the log has grown: what is told is always what
 * stands in it after `#cursor`, so that a lost connection loses nothing.
 */
export class PostgresFeed {
  readonly #options: PostgresFeedOptions
  /** Marks our own wakes, which were told here without the way over the server. */
  readonly #self = randomUUID()
  /** The sequence of the last event that was told. */
  #cursor = 0
  #client: pg.Client | null = null
  #reading: Promise<void> | null = null
  #readAgain = false
  #wakes = new Set<string>()
  /** Wakes that were told here and not yet elsewhere. */
  #outbox = new Set<string>()
  #sending: Promise<void> | null = null
  /** A connection answers one question at a time: each waits here for those before it. */
  #turn: Promise<unknown> = Promise.resolve()
  #reconnectMs = RECONNECT_MIN_MS
  #reconnecting: NodeJS.Timeout | null = null
  #listening: Promise<void> | null = null
  #checking: NodeJS.Timeout | null = null
  #closed = false

  constructor(options: PostgresFeedOptions) {
    this.#options = options
  }

  async start(): Promise<void> {
    await this.#listen()
    this.#cursor = await lastSequence(this.#options.sql)
    this.#checking = setInterval(() => this.#check(), CHECK_INTERVAL_MS).unref()
  }

  /** Hears of a commit of this process: where nothing came between, the log need not be read. */
  committed(events: readonly LoggedEvent[]): void {
    if (events[0]?.sequence === this.#cursor + 1) this.#tell(events)
    else this.#readOn()
  }

  wake(topic: WakeTopic, id: string): void {
    const first = this.#wakes.size === 0
    this.#wakes.add(`${this.#self} ${topic} ${id}`)
    if (first) setImmediate(() => this.#tellWakes())
  }

  async close(): Promise<void> {
    this.#closed = true
    if (this.#checking !== null) clearInterval(this.#checking)
    if (this.#reconnecting !== null) clearTimeout(this.#reconnecting)
    const client = this.#client
    this.#client = null
    await this.#sending
    if (client !== null) await end(client)
    await this.#listening?.catch(() => {
      // There was nothing to close.
    })
    await this.#reading
  }

  async #listen(): Promise<void> {
    const client = new pg.Client({
      connectionString: this.#options.url,
      application_name: 'holdfast',
      connectionTimeoutMillis: ANSWER_TIMEOUT_MS,
      query_timeout: ANSWER_TIMEOUT_MS,
      keepAlive: true,
    })
    const lost = (error?: Error) => this.#lost(client, error)
    client.on('error', lost)
    client.on('end', () => lost())
    client.on('notification', ({ channel, payload = '' }) => {
      if (channel === EVENT_CHANNEL && Number(payload) > this.#cursor) this.#readOn()
      if (channel === WAKE_CHANNEL) this.#hearWake(payload)
    })
    try {
      await client.connect()
      await client.query(`listen ${EVENT_CHANNEL}; listen ${WAKE_CHANNEL}`)
    } catch (error) {
      await end(client)
      throw error
    }
    // Nobody asks it anything before it listens.
    if (this.#closed) return end(client)
    this.#client = client
    this.#turn = Promise.resolve()
    this.#reconnectMs = RECONNECT_MIN_MS
  }

  #lost(client: pg.Client, error?: Error): void {
    if (this.#client !== client || this.#closed) return
    this.#client = null
    this.#options.log?.warn('the listening connection to PostgreSQL was lost', { error })
    void end(client)
    this.#reconnect()
  }

  #reconnect(): void {
    if (this.#closed || this.#reconnecting !== null) return
    this.#reconnecting = setTimeout(() => {
      this.#reconnecting = null
      this.#reconnectMs = Math.min(2 * this.#reconnectMs, RECONNECT_MAX_MS)
      this.#listening = this.#listen()
      this.#listening.then(
        () => this.#readOn(),
        () => this.#reconnect(),
      )
    }, this.#reconnectMs)
  }

  #check(): void {
    const client = this.#client
    if (client !== null) {
      this.#ask(client, 'select 1').catch((error: Error) => this.#lost(client, error))
    }
    this.#readOn()
  }

  #readOn(): void {
    if (this.#closed) return
    this.#readAgain = true
    this.#reading ??= this.#readPages()
  }

  async #readPages(): Promise<void> {
    const { sql, log } = this.#options
    try {
      while (this.#readAgain && !this.#closed) {
        this.#readAgain = false
        const page = await eventsSince(sql, { sinceSequence: this.#cursor, limit: PAGE_EVENTS })
        if (page.length === PAGE_EVENTS) this.#readAgain = true
        this.#tell(page.filter((event) => event.sequence > this.#cursor))
      }
    } catch (error) {
      // The next notification or check reads on from the same place.
      log?.warn('the event log could not be read', { error })
    } finally {
      this.#reading = null
    }
  }

  #tell(events: readonly LoggedEvent[]): void {
    const last = events.at(-1)
    if (last === undefined) return
    this.#cursor = last.sequence
    this.#options.events.tell(events)
  }

  #tellWakes(): void {
    const payloads = [...this.#wakes]
    this.#wakes.clear()
    for (const payload of payloads) this.#tellWake(payload)
    for (const payload of payloads) this.#outbox.add(payload)
    this.#sending ??= this.#sendWakes().finally(() => {
      this.#sending = null
    })
  }

  /** What comes while a batch is on its way goes with the next. Never rejects. */
  async #sendWakes(): Promise<void> {
    while (this.#outbox.size > 0) {
      const payloads = [...this.#outbox]
      this.#outbox.clear()
      const client = this.#client
      if (client === null) return // whoever is not woken polls
      try {
        await this.#ask(client, NOTIFY_ALL, [WAKE_CHANNEL, payloads])
      } catch (error) {
        this.#options.log?.debug('others could not be woken', { error })
      }
    }
  }

  #ask(client: pg.Client, text: string, values: readonly unknown[] = []): Promise<unknown> {
    const asked = this.#turn.then(() => client.query(text, [...values]))
    this.#turn = asked.catch(() => {
      // Whoever asked hears of it.
    })
    return asked
  }

  #hearWake(payload: string): void {
    if (!payload.startsWith(this.#self)) this.#tellWake(payload)
  }

  #tellWake(payload: string): void {
    const [, topic, ...id] = payload.split(' ')
    this.#options.wakes.tell(topic as WakeTopic, id.join(' '))
  }
}

async function end(client: pg.Client): Promise<void> {
  try {
    await client.end()
  } catch {
    // It was broken already.
  }
}
