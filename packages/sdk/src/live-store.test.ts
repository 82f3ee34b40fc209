import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LiveFeed } from './live.ts'
import { LiveStore, type LiveStoreOptions } from './live-store.ts'
import type { OperationWire, ProgressWire } from './wire/control.ts'
import type { LiveMessage } from './wire/live.ts'

const progress = (bytesDone: number): ProgressWire => ({
  phase: 'archiving',
  bytesDone,
  bytesTotal: 100,
  itemsDone: 0,
  itemsTotal: null,
  currentItem: null,
  transferredBytes: 0,
  transferredTotal: null,
  percent: bytesDone,
  ratePerSecond: null,
  secondsLeft: null,
})

const operation = (id: string, more: Partial<OperationWire> = {}): OperationWire => ({
  id,
  accountId: 'me',
  kind: 'backup',
  status: 'running',
  statusReason: '',
  outcome: null,
  priority: 50,
  sourceId: 'source-1',
  snapshotId: null,
  poolId: null,
  input: {},
  result: null,
  error: null,
  progress: progress(0),
  intent: null,
  attempt: 1,
  retryOf: null,
  resumedCount: 0,
  bytesNotRedone: 0,
  createdAt: '2026-01-01T00:00:00.000Z',
  startedAt: null,
  updatedAt: '2026-01-01T00:00:00.000Z',
  finishedAt: null,
  ...more,
})

const event = (sequence: number, changed: OperationWire | null): LiveMessage => ({
  type: 'event',
  sequence,
  event: {
    sequence,
    topic: changed === null ? 'snapshot' : 'operation',
    topicId: changed?.id ?? 'snapshot-1',
    type: 'changed',
    at: '',
    data: {},
  },
  operation: changed,
})

/** A feed whose messages are given by hand: what is tested here is what becomes of them. */
class HandFeed extends LiveFeed {
  listeners = new Set<(message: LiveMessage) => void>()

  constructor() {
    super({ url: 'http://nowhere', token: async () => null })
  }

  override subscribe(_subjects: unknown, listener: (message: LiveMessage) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  say(message: LiveMessage): void {
    for (const listener of this.listeners) listener(message)
  }
}

function startStore(options: LiveStoreOptions = {}) {
  const feed = new HandFeed()
  const store = new LiveStore(feed, { progressIntervalMs: 0, ...options })
  let told = 0
  const leave = store.subscribe(() => {
    told += 1
  })
  return { feed, store, leave, told: () => told }
}

test('merges snapshot, events and progress into operations by id', () => {
  const { feed, store, leave } = startStore()
  feed.say({ type: 'snapshot', sequence: 5, operations: [operation('a'), operation('b')] })
  feed.say({ type: 'progress', operationId: 'a', sourceId: null, progress: progress(40) })
  feed.say(event(6, operation('b', { status: 'completed', outcome: 'success' })))
  assert.equal(store.operation('a')?.progress.bytesDone, 40)
  assert.equal(store.operation('b')?.status, 'completed')
  assert.equal(store.getSnapshot().sequence, 6)
  assert.equal(store.getSnapshot().changes.operation, 1)
  leave()
})

test('a snapshot is never changed, and the same until something happens', () => {
  const { feed, store, leave } = startStore()
  feed.say({ type: 'snapshot', sequence: 1, operations: [operation('a')] })
  const before = store.getSnapshot()
  assert.equal(store.getSnapshot(), before)
  feed.say({ type: 'progress', operationId: 'a', sourceId: null, progress: progress(9) })
  assert.notEqual(store.getSnapshot(), before)
  assert.equal(before.operations.get('a')?.progress.bytesDone, 0)
  leave()
})

test('nothing takes an operation back: late progress, late answers, events seen before', () => {
  const { feed, store, leave } = startStore()
  feed.say({
    type: 'snapshot',
    sequence: 5,
    operations: [operation('a', { progress: progress(50) })],
  })
  feed.say({ type: 'progress', operationId: 'a', sourceId: null, progress: progress(20) })
  assert.equal(store.operation('a')?.progress.bytesDone, 50, 'late progress')
  feed.say(event(6, operation('a', { status: 'completed', progress: progress(100) })))
  store.merge([operation('a', { progress: progress(60) })])
  assert.equal(store.operation('a')?.status, 'completed', 'late answer')
  feed.say({ type: 'progress', operationId: 'a', sourceId: null, progress: progress(99) })
  assert.equal(store.operation('a')?.progress.bytesDone, 100, 'progress after the end')
  feed.say(event(6, operation('b')))
  assert.equal(store.operation('b'), undefined, 'an event told again')
  leave()
})

test('learns the end of what ended while it was away', async () => {
  const asked: string[] = []
  const { feed, store, leave } = startStore({
    fetchOperation: async (id) => {
      asked.push(id)
      return operation(id, { status: 'failed' })
    },
  })
  feed.say({ type: 'snapshot', sequence: 5, operations: [operation('a'), operation('b')] })
  feed.say({ type: 'snapshot', sequence: 9, operations: [operation('b')] })
  await Promise.resolve()
  await Promise.resolve()
  assert.deepEqual(asked, ['a'])
  assert.equal(store.operation('a')?.status, 'failed')
  leave()
})

test('a resync is told, so that lists are read anew', () => {
  const { feed, store, leave } = startStore()
  feed.say({ type: 'snapshot', sequence: 50, operations: [] })
  feed.say({ type: 'resync', sequence: 7 })
  feed.say(event(8, null))
  assert.equal(store.getSnapshot().resyncs, 1)
  assert.equal(store.getSnapshot().changes.snapshot, 1)
  leave()
})

test('progress is told together, an event at once', async () => {
  const { feed, told, leave } = startStore()
  feed.say({ type: 'snapshot', sequence: 1, operations: [operation('a'), operation('b')] })
  const before = told()
  for (let count = 1; count <= 50; count += 1) {
    feed.say({ type: 'progress', operationId: 'a', sourceId: null, progress: progress(count) })
  }
  assert.equal(told(), before, 'progress waits for its turn')
  feed.say(event(2, operation('b', { status: 'paused' })))
  assert.equal(told(), before + 1)
  await new Promise((resolve) => setTimeout(resolve, 5))
  assert.equal(told(), before + 2)
  leave()
})

test('forgets what ended longest ago, and never what runs', () => {
  const { feed, store, leave } = startStore({ endedMax: 2 })
  const ended = (id: string, minute: number) =>
    operation(id, { status: 'completed', updatedAt: `2026-01-01T00:0${minute}:00.000Z` })
  feed.say({ type: 'snapshot', sequence: 1, operations: [operation('runs')] })
  store.merge([ended('c', 3), ended('a', 1), ended('b', 2)])
  assert.deepEqual([...store.getSnapshot().operations.keys()].sort(), ['b', 'c', 'runs'])
  leave()
})

test('uses the feed from the first subscriber to the last', () => {
  const { feed, store, leave } = startStore()
  const leaveSecond = store.subscribe(() => {
    // Only there to be second.
  })
  leave()
  assert.equal(feed.listeners.size, 1)
  leaveSecond()
  assert.equal(feed.listeners.size, 0)
})
