import type { LiveFeed, LiveState } from './live.ts'
import { furtherProgress, mergeOperation } from './operation-merge.ts'
import { isFinal } from './operations.ts'
import type { EventWire, OperationWire, ProgressWire } from './wire/control.ts'
import type { LiveMessage } from './wire/live.ts'

export type Topic = EventWire['topic']

/** What a `LiveStore` shows: never changed, always replaced. */
export interface LiveSnapshot {
  readonly state: LiveState
  /** Every operation that is known, by id: what runs or waits, and what has ended lately. */
  readonly operations: ReadonlyMap<string, OperationWire>
  /** The last event that was seen; 0 before the first. */
  readonly sequence: number
  /** Rises with every event of a topic: read that list again when it does. */
  readonly changes: Readonly<Record<Topic, number>>
  /** Rises when events were lost for good: read everything again. */
  readonly resyncs: number
}

export interface LiveStoreOptions {
  /** Asks for an operation whose end was missed. */
  readonly fetchOperation?: (id: string) => Promise<OperationWire>
  /** Progress is told to subscribers at most this often. Everything else at once. */
  readonly progressIntervalMs?: number
  /** Ended operations that are kept; older ones are forgotten. */
  readonly endedMax?: number
}

const PROGRESS_INTERVAL_MS = 100
const ENDED_MAX = 200

const EMPTY: LiveSnapshot = {
  state: 'connecting',
  operations: new Map(),
  sequence: 0,
  changes: { operation: 0, source: 0, snapshot: 0, pool: 0, device: 0 },
  resyncs: 0,
}

/**
 * What is going on, kept current by the live feed. `subscribe` and `getSnapshot`
 * fit React's `useSyncExternalStore`; both are bound. The feed is used from the
 * first subscriber to the last.
 */
export class LiveStore {
  readonly #feed: LiveFeed
  readonly #options: LiveStoreOptions
  readonly #listeners = new Set<() => void>()
  #snapshot: LiveSnapshot = EMPTY
  #leaveFeed: (() => void) | null = null
  #timer: ReturnType<typeof setTimeout> | null = null

  constructor(feed: LiveFeed, options: LiveStoreOptions = {}) {
    this.#feed = feed
    this.#options = options
  }

  readonly getSnapshot = (): LiveSnapshot => this.#snapshot

  readonly subscribe = (listener: () => void): (() => void) => {
    // Each subscription stands for itself, also when the same function comes twice.
    const own = () => listener()
    this.#listeners.add(own)
    if (this.#leaveFeed === null) this.#join()
    return () => {
      if (this.#listeners.delete(own) && this.#listeners.size === 0) this.close()
    }
  }

  operation(id: string): OperationWire | undefined {
    return this.#snapshot.operations.get(id)
  }

  /** Takes in operations that came by another way, such as the answer to a submission. */
  merge(operations: readonly OperationWire[]): void {
    this.#replace({ operations: this.#withOperations(operations) })
  }

  /** Leaves the feed. What is known stays readable; a new subscriber joins again. */
  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#leaveFeed?.()
    this.#leaveFeed = null
  }

  #join(): void {
    const leaveMessages = this.#feed.subscribe(
      ['operations', 'sources', 'snapshots', 'pools', 'devices'],
      (message) => this.#take(message),
    )
    const leaveState = this.#feed.onState((state) => this.#replace({ state }))
    this.#leaveFeed = () => {
      leaveMessages()
      leaveState()
    }
    if (this.#snapshot.state !== this.#feed.state) this.#replace({ state: this.#feed.state })
  }

  #take(message: LiveMessage): void {
    if (message.type === 'snapshot') this.#takeSnapshot(message.operations, message.sequence)
    if (message.type === 'event') this.#takeEvent(message.event, message.operation)
    if (message.type === 'progress') this.#takeProgress(message.operationId, message.progress)
    if (message.type === 'resync') {
      this.#replace({ sequence: message.sequence, resyncs: this.#snapshot.resyncs + 1 })
    }
  }

  #takeSnapshot(operations: readonly OperationWire[], sequence: number): void {
    const listed = new Set(operations.map((operation) => operation.id))
    const missed = [...this.#snapshot.operations.values()].filter(
      (operation) => !isFinal(operation.status) && !listed.has(operation.id),
    )
    this.#replace({
      sequence: Math.max(sequence, this.#snapshot.sequence),
      operations: this.#withOperations(operations),
    })
    for (const operation of missed) this.#learnEnd(operation.id)
  }

  /** It ended while nobody listened: the snapshot holds what lives only. */
  #learnEnd(id: string): void {
    const fetched = this.#options.fetchOperation?.(id) ?? Promise.reject(new Error('gone'))
    fetched.then(
      (operation) => this.merge([operation]),
      () => {
        // Deleted, or out of reach: what is not known is not shown.
        const operations = new Map(this.#snapshot.operations)
        if (operations.delete(id)) this.#replace({ operations })
      },
    )
  }

  #takeEvent(event: EventWire, operation: OperationWire | null): void {
    if (event.sequence <= this.#snapshot.sequence) return
    const changes = { ...this.#snapshot.changes }
    changes[event.topic] = (changes[event.topic] ?? 0) + 1
    this.#replace({
      sequence: event.sequence,
      changes,
      ...(operation === null ? {} : { operations: this.#withOperations([operation]) }),
    })
  }

  #takeProgress(id: string, progress: ProgressWire): void {
    const known = this.#snapshot.operations.get(id)
    if (known === undefined || isFinal(known.status)) return
    const operations = new Map(this.#snapshot.operations)
    operations.set(id, { ...known, progress: furtherProgress(known.progress, progress) })
    this.#snapshot = { ...this.#snapshot, operations }
    this.#timer ??= setTimeout(() => {
      this.#timer = null
      this.#tell()
    }, this.#options.progressIntervalMs ?? PROGRESS_INTERVAL_MS)
  }

  #withOperations(news: readonly OperationWire[]): ReadonlyMap<string, OperationWire> {
    const operations = new Map(this.#snapshot.operations)
    for (const operation of news) {
      const known = operations.get(operation.id)
      operations.set(
        operation.id,
        known === undefined ? operation : mergeOperation(known, operation),
      )
    }
    forgetOldest(operations, this.#options.endedMax ?? ENDED_MAX)
    return operations
  }

  #replace(changes: Partial<LiveSnapshot>): void {
    this.#snapshot = { ...this.#snapshot, ...changes }
    this.#tell()
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener()
  }
}

function forgetOldest(operations: Map<string, OperationWire>, endedMax: number): void {
  const ended = [...operations.values()].filter(({ status }) => isFinal(status))
  if (ended.length <= endedMax) return
  ended.sort((left, right) => Date.parse(left.updatedAt) - Date.parse(right.updatedAt))
  for (const { id } of ended.slice(0, ended.length - endedMax)) operations.delete(id)
}
