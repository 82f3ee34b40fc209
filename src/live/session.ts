import { TOPICS, type Topic } from '../core/events.ts'
import type { Operation } from '../core/operation.ts'
import { type EventNews, Hub, type LiveNews, type ProgressUpdate } from './hub.ts'

/** One reader's connection, whatever it is made of. */
export interface Sink<Frame> {
  /** Takes the frame at once; calls back when it has left for the peer, or never will. */
  send(frame: Frame, left: () => void): void
  /** Bytes taken that have not left yet. */
  bufferedBytes(): number
  end(why: SessionEnd): void
}

/** `behind`: the reader did not keep up. `failed`: the log could not be read. */
export type SessionEnd = 'behind' | 'failed'

/** Makes frames. News come as one object for all sessions: make their frame once. */
export interface Encoder<Frame> {
  news(news: LiveNews): Frame
  snapshot(sequence: number, operations: readonly Operation[]): Frame
  resync(sequence: number): Frame
  byteLength(frame: Frame): number
}

export interface Subscription {
  readonly topics: ReadonlySet<Topic>
  readonly operationIds: ReadonlySet<string>
  readonly sourceIds: ReadonlySet<string>
}

export interface SessionOptions<Frame> {
  readonly hub: Hub
  /** Whose events; `null`: everybody's. */
  readonly accountId: string | null
  /** What may be told at all, whatever is subscribed; everything where left out. */
  readonly topics?: ReadonlySet<Topic>
  readonly sink: Sink<Frame>
  readonly encoder: Encoder<Frame>
  readonly log: { warn(message: string, fields?: Readonly<Record<string, unknown>>): void }
}

/** Beyond this much on its way to a reader, the rest waits here, where progress can be replaced. */
const SINK_BYTES_MAX = 256 * 1024
const EVENTS_WAITING_MAX = 1_000
const EVENT_BYTES_WAITING_MAX = 4 * 1024 * 1024
const PROGRESS_WAITING_MAX = 1_000

/**
 * What one reader is told: first what it missed, then a snapshot of what runs,
 * then news as they come. Every event from its start on comes exactly once and
 * in sequence; of progress only the newest, and none after the end of its
 * operation.
 *
 *     catching up ──> live ──> ended
 *
 * While it catches up, the reader is fed from the log at its own pace, and news
 * are left alone: the log has them. It goes live in the same turn in which the
 * log has shown nothing newer than the hub has told.
 */
export class Session<Frame> {
  readonly #options: SessionOptions<Frame>
  readonly #stop: () => void
  #state: 'idle' | 'catching up' | 'live' | 'ended' = 'idle'
  #subscription: Subscription = NOTHING
  #round = 0
  /** Every event up to this sequence was sent, or is not for this reader. */
  #sequence = 0
  readonly #events: { frame: Frame; bytes: number; sequence: number }[] = []
  #eventBytes = 0
  readonly #progress = new Map<string, ProgressUpdate>()
  #waitingForRoom: (() => void)[] = []

  constructor(options: SessionOptions<Frame>) {
    this.#options = options
    this.#stop = options.hub.subscribe((news) => this.#hear(news))
  }

  /** Begins, or begins anew with other topics. Settles when the reader is live. */
  async subscribe(subscription: Subscription, since: number | null): Promise<void> {
    if (this.#state === 'ended') return
    const isFirst = this.#state === 'idle'
    this.#subscription = subscription
    this.#state = 'catching up'
    this.#round += 1
    const round = this.#round
    // What waits was meant for the topics before. It is in the log: the place goes back to before it.
    if (this.#events[0] !== undefined) this.#sequence = this.#events[0].sequence - 1
    this.#clearWaiting()
    try {
      const newest = await this.#options.hub.lastSequence()
      if (!this.#isCurrent(round)) return
      if (isFirst) this.#sequence = newest
      await this.#catchUp(round, since, newest)
    } catch (error) {
      if (!this.#isCurrent(round)) return
      this.#options.log.warn('live feed could not read the event log', { error })
      this.#end('failed')
    }
  }

  close(): void {
    this.#state = 'ended'
    this.#stop()
    this.#clearWaiting()
    this.#tellOfRoom()
  }

  async #catchUp(round: number, since: number | null, newest: number): Promise<void> {
    const { encoder } = this.#options
    if (since !== null) {
      if (await this.#reaches(since, newest)) {
        this.#sequence = since
        await this.#replay(round)
      } else {
        this.#put(encoder.resync(newest))
        this.#sequence = newest
      }
    }
    if (!this.#isCurrent(round)) return
    const sequence = this.#sequence
    const operations = await this.#snapshot()
    await this.#waitForRoom()
    if (!this.#isCurrent(round)) return
    this.#put(encoder.snapshot(sequence, operations))
    await this.#replay(round)
    if (this.#isCurrent(round)) this.#state = 'live'
  }

  /** Whether everything after `since` is still in the log. */
  async #reaches(since: number, newest: number): Promise<boolean> {
    if (since > newest) return false
    const first = await this.#options.hub.firstSequence()
    return first === 0 || since >= first - 1
  }

  /** Reads the log until it has shown all that the hub has told. */
  async #replay(round: number): Promise<void> {
    const { hub, accountId, encoder } = this.#options
    for (;;) {
      const newest = await hub.lastSequence()
      const page = await hub.missed(this.#sequence, accountId)
      for (const news of page) {
        await this.#waitForRoom()
        if (!this.#isCurrent(round)) return
        if (this.#wants(news)) this.#put(encoder.news(news))
        this.#sequence = news.event.sequence
      }
      if (!this.#isCurrent(round)) return
      if (page.length < Hub.missedPage) this.#sequence = Math.max(this.#sequence, newest)
      if (page.length < Hub.missedPage && hub.toldSequence <= this.#sequence) return
    }
  }

  /** A single operation that is asked for by its id is told of in whatever status it is. */
  async #snapshot(): Promise<readonly Operation[]> {
    const { hub, accountId } = this.#options
    const { topics, operationIds, sourceIds } = this.#subscription
    const found = new Map<string, Operation>()
    if (topics.has('operation') || sourceIds.size > 0) {
      for (const operation of await hub.liveOperations(accountId)) {
        if (this.#wantsOperation(operation)) found.set(operation.id, operation)
      }
    }
    for (const operationId of operationIds) {
      const operation = await hub.operation(operationId)
      if (operation !== null && this.#mayRead(operation.accountId)) {
        found.set(operation.id, operation)
      }
    }
    return [...found.values()]
  }

  #hear(news: LiveNews): void {
    if (this.#state !== 'live') return
    if (news.type === 'progress') this.#hearProgress(news)
    else if (news.event.sequence > this.#sequence) this.#hearEvent(news)
  }

  #hearEvent(news: EventNews): void {
    if (!this.#wants(news)) {
      // With nothing waiting, what is not for this reader moves its place on, too.
      if (this.#events.length === 0) this.#sequence = news.event.sequence
      return
    }
    // The event brings the operation along, and its progress with it.
    if (news.event.topic === 'operation') this.#progress.delete(news.event.topicId)
    const frame = this.#options.encoder.news(news)
    const bytes = this.#options.encoder.byteLength(frame)
    this.#events.push({ frame, bytes, sequence: news.event.sequence })
    this.#eventBytes += bytes
    this.#flush()
    if (this.#events.length > EVENTS_WAITING_MAX || this.#eventBytes > EVENT_BYTES_WAITING_MAX) {
      this.#end('behind')
    }
  }

  #hearProgress(news: ProgressUpdate): void {
    if (!this.#wantsProgress(news)) return
    this.#progress.set(news.operationId, news)
    if (this.#progress.size > PROGRESS_WAITING_MAX) {
      const [oldest] = this.#progress.keys()
      if (oldest !== undefined) this.#progress.delete(oldest)
    }
    this.#flush()
  }

  /** Events first: none of them can be replaced by a newer one. */
  #flush(): void {
    if (this.#state !== 'live') return
    while (this.#hasRoom()) {
      const next = this.#events.shift()
      if (next === undefined) break
      this.#eventBytes -= next.bytes
      this.#sequence = next.sequence
      this.#put(next.frame)
    }
    for (const [operationId, news] of this.#progress) {
      if (this.#events.length > 0 || !this.#hasRoom()) return
      this.#progress.delete(operationId)
      this.#put(this.#options.encoder.news(news))
    }
  }

  #put(frame: Frame): void {
    this.#options.sink.send(frame, () => {
      this.#tellOfRoom()
      this.#flush()
    })
  }

  #hasRoom(): boolean {
    return this.#options.sink.bufferedBytes() < SINK_BYTES_MAX
  }

  async #waitForRoom(): Promise<void> {
    while (!this.#hasRoom() && this.#state !== 'ended') {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#waitingForRoom.push(resolve)
      await promise
    }
  }

  #tellOfRoom(): void {
    const waiting = this.#waitingForRoom
    this.#waitingForRoom = []
    for (const resolve of waiting) resolve()
  }

  #end(why: SessionEnd): void {
    if (this.#state === 'ended') return
    this.close()
    this.#options.sink.end(why)
  }

  #clearWaiting(): void {
    this.#events.length = 0
    this.#eventBytes = 0
    this.#progress.clear()
  }

  #isCurrent(round: number): boolean {
    return this.#state === 'catching up' && this.#round === round
  }

  #mayRead(accountId: string): boolean {
    return this.#options.accountId === null || this.#options.accountId === accountId
  }

  #wants({ event, operation }: EventNews): boolean {
    const { topics, operationIds, sourceIds } = this.#subscription
    if (!this.#mayRead(event.accountId)) return false
    if (this.#options.topics?.has(event.topic) === false) return false
    if (topics.has(event.topic)) return true
    if (event.topic === 'operation') {
      if (operationIds.has(event.topicId)) return true
      return operation?.sourceId != null && sourceIds.has(operation.sourceId)
    }
    const sourceId = event.topic === 'source' ? event.topicId : event.data['sourceId']
    return typeof sourceId === 'string' && sourceIds.has(sourceId)
  }

  #wantsOperation({ id, sourceId }: { id: string; sourceId: string | null }): boolean {
    const { topics, operationIds, sourceIds } = this.#subscription
    if (topics.has('operation') || operationIds.has(id)) return true
    return sourceId !== null && sourceIds.has(sourceId)
  }

  #wantsProgress(news: ProgressUpdate): boolean {
    if (!this.#mayRead(news.accountId)) return false
    return this.#wantsOperation({ id: news.operationId, sourceId: news.sourceId })
  }
}

const NOTHING: Subscription = {
  topics: new Set(),
  operationIds: new Set(),
  sourceIds: new Set(),
}

const TOPIC_BY_NAME: ReadonlyMap<string, Topic> = new Map(
  TOPICS.map((topic) => [`${topic}s`, topic]),
)

/** Reads `operations`, `snapshots` ..., `operation:<id>`, `source:<id>`; answers the first word that is none. */
export function parseSubjects(
  words: readonly string[],
): { subscription: Subscription } | { unknown: string } {
  const topics = new Set<Topic>()
  const operationIds = new Set<string>()
  const sourceIds = new Set<string>()
  for (const word of words) {
    const topic = TOPIC_BY_NAME.get(word)
    if (topic !== undefined) topics.add(topic)
    else if (/^operation:.+/.test(word)) operationIds.add(word.slice('operation:'.length))
    else if (/^source:.+/.test(word)) sourceIds.add(word.slice('source:'.length))
    else return { unknown: word }
  }
  return { subscription: { topics, operationIds, sourceIds } }
}
