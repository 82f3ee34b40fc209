import type { LoggedEvent, ProgressNews, Topic } from '../core/events.ts'
import { LIVE_STATUSES, type Operation } from '../core/operation.ts'
import type { Progress } from '../core/progress.ts'
import type { Database } from '../store/database.ts'
import { eventsSince, firstSequence, lastSequence } from '../store/event-log.ts'
import { findOperation, listOperations } from '../store/operations.ts'

/** What the hub tells. Each is one object for all listeners, so that its text can be made once for all. */
export type LiveNews = EventNews | ProgressUpdate

export interface EventNews {
  readonly type: 'event'
  readonly event: LoggedEvent
  /** The state after the event, or a later one. `null` where the event is of no operation, or it is gone. */
  readonly operation: Operation | null
}

export interface ProgressUpdate extends ProgressNews {
  readonly type: 'progress'
}

export type LiveListener = (news: LiveNews) => void

export interface HubOptions {
  readonly database: Database
  /** Where progress comes from; answers how to stop listening. */
  readonly onProgress: (listener: (news: ProgressNews) => void) => () => void
  readonly log: { warn(message: string, fields?: Readonly<Record<string, unknown>>): void }
}

/** Operations that ended lately: a progress of theirs that comes late is not told. */
const ENDED_KEPT_MAX = 2_000
/** Operations listed in a snapshot; running ones come first. */
export const SNAPSHOT_OPERATIONS_MAX = 1_000
const READ_PAGE = 500

/**
 * The one place that hears what happens and tells whoever listens: sockets,
 * event streams, faces. Events come in the order of the log, each once, with
 * the state of their operation. Progress comes between them as it is reported;
 * after the end of its operation there is none.
 *
 * A listener is called in turn with all others: it MUST NOT throw or wait.
 */
export class Hub {
  readonly #options: HubOptions
  readonly #listeners = new Set<LiveListener>()
  readonly #newest = new Map<string, Progress>()
  readonly #ended = new Set<string>()
  readonly #stops: (() => void)[]
  #waiting: LoggedEvent[] = []
  #pump: Promise<void> | null = null
  #toldSequence = 0

  constructor(options: HubOptions) {
    this.#options = options
    this.#stops = [
      options.database.onEvents((events) => this.#hear(events)),
      options.onProgress((news) => this.#tellProgress(news)),
    ]
  }

  subscribe(listener: LiveListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  get listenerCount(): number {
    return this.#listeners.size
  }

  /** Every event up to this sequence was told. */
  get toldSequence(): number {
    return this.#toldSequence
  }

  /** The newest progress of an operation that runs, where this process has heard of one. */
  newestProgress(operationId: string): Progress | null {
    return this.#newest.get(operationId) ?? null
  }

  async lastSequence(): Promise<number> {
    return await lastSequence(this.#options.database.sql)
  }

  /** 0 where nothing was ever logged. */
  async firstSequence(): Promise<number> {
    return await firstSequence(this.#options.database.sql)
  }

  /** Reads on in the log. `accountId` null: the events of everybody. */
  async missed(sinceSequence: number, accountId: string | null): Promise<readonly EventNews[]> {
    const events = await eventsSince(this.#options.database.sql, {
      sinceSequence,
      limit: READ_PAGE,
      ...(accountId === null ? {} : { accountId }),
    })
    return await this.#withOperations(events)
  }

  static readonly missedPage = READ_PAGE

  async operation(operationId: string): Promise<Operation | null> {
    const operation = await findOperation(this.#options.database.sql, operationId)
    return operation === null ? null : this.#freshened(operation)
  }

  /** What runs, stands or waits now. `accountId` null: of everybody. */
  async liveOperations(accountId: string | null): Promise<readonly Operation[]> {
    const found: Operation[] = []
    for (const status of [...LIVE_STATUSES].sort(runningFirst)) {
      let cursor: string | null = null
      do {
        const limit = Math.min(READ_PAGE, SNAPSHOT_OPERATIONS_MAX - found.length)
        if (limit <= 0) return found
        const page: Awaited<ReturnType<typeof listOperations>> = await listOperations(
          this.#options.database.sql,
          { accountId, statuses: [status], limit, cursor },
        )
        found.push(...page.items.map((operation) => this.#freshened(operation)))
        cursor = page.nextCursor
      } while (cursor !== null)
    }
    return found
  }

  /** Stops listening; what was heard is still told. */
  async close(): Promise<void> {
    for (const stop of this.#stops) stop()
    await this.#pump
    this.#listeners.clear()
  }

  /** What is stored of progress is up to half a second old. */
  #freshened(operation: Operation): Operation {
    const progress = this.#newest.get(operation.id)
    if (progress === undefined || operation.status !== 'running') return operation
    const { bytesDone, itemsDone } = operation.progress
    const isNewer = progress.bytesDone >= bytesDone && progress.itemsDone >= itemsDone
    return isNewer ? { ...operation, progress } : operation
  }

  #hear(events: readonly LoggedEvent[]): void {
    this.#waiting.push(...events)
    this.#pump ??= this.#tellWaiting().finally(() => {
      this.#pump = null
    })
  }

  async #tellWaiting(): Promise<void> {
    while (this.#waiting.length > 0) {
      const events = this.#waiting.splice(0, READ_PAGE)
      const all = this.#listeners.size === 0 ? withoutOperations(events) : await this.#read(events)
      for (const news of all) {
        this.#notice(news.event)
        this.#toldSequence = Math.max(this.#toldSequence, news.event.sequence)
        this.#tell(news)
      }
    }
  }

  /** An event is told in any case: without the state of its operation where that cannot be read. */
  async #read(events: readonly LoggedEvent[]): Promise<readonly EventNews[]> {
    try {
      return await this.#withOperations(events)
    } catch (error) {
      this.#options.log.warn('live feed could not read operations', { error })
      return withoutOperations(events)
    }
  }

  async #withOperations(events: readonly LoggedEvent[]): Promise<readonly EventNews[]> {
    const found = new Map<string, Operation | null>()
    for (const { topic, topicId } of events) {
      if (topic !== 'operation' || found.has(topicId)) continue
      found.set(topicId, await this.operation(topicId))
    }
    return events.map((event) => ({
      type: 'event',
      event,
      operation: event.topic === 'operation' ? (found.get(event.topicId) ?? null) : null,
    }))
  }

  #notice({ topic, topicId, type }: LoggedEvent): void {
    if (topic !== 'operation') return
    if ((STOP_EVENTS as readonly string[]).includes(type)) this.#newest.delete(topicId)
    if (!endsOperation({ topic, type })) return
    this.#ended.add(topicId)
    if (this.#ended.size > ENDED_KEPT_MAX) {
      for (const oldest of this.#ended) {
        this.#ended.delete(oldest)
        break
      }
    }
  }

  #tellProgress(news: ProgressNews): void {
    if (this.#ended.has(news.operationId)) return
    this.#newest.set(news.operationId, news.progress)
    if (this.#listeners.size > 0) this.#tell({ type: 'progress', ...news })
  }

  #tell(news: LiveNews): void {
    for (const listener of this.#listeners) {
      try {
        listener(news)
      } catch (error) {
        this.#options.log.warn('a listener of the live feed failed', { error })
      }
    }
  }
}

const STOP_EVENTS = ['paused', 'interrupted', 'completed', 'failed', 'cancelled', 'expired']
const END_EVENTS = ['completed', 'failed', 'cancelled', 'expired'] as const

const runningFirst = (left: string, right: string): number =>
  Number(right === 'running') - Number(left === 'running')

const withoutOperations = (events: readonly LoggedEvent[]): readonly EventNews[] =>
  events.map((event) => ({ type: 'event', event, operation: null }))

/** Whether an event ends its operation. */
export const endsOperation = ({ topic, type }: { topic: Topic; type: string }): boolean =>
  topic === 'operation' && (END_EVENTS as readonly string[]).includes(type)
