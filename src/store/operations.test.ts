import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { type Operation, transition } from '../core/operation.ts'
import { WARNINGS_KEPT_MAX } from '../core/outcome.ts'
import { NO_PROGRESS } from '../core/progress.ts'
import type { Database } from './database.ts'
import {
  findHolder,
  forgetDiscard,
  listDiscards,
  releaseHolds,
  rememberDiscard,
  takeHolds,
} from './holds.ts'
import {
  claimNext,
  findByIdempotencyKey,
  findOperation,
  insertOperation,
  replaceOperation,
  runStates,
  saveCheckpoint,
  saveProgress,
  saveResumed,
} from './operations.ts'
import { openSqlite } from './sqlite.ts'
import { appendWarnings, countWarnings, listWarnings, truncateWarnings } from './warnings.ts'
import {
  beatWorker,
  deleteEndedWorkers,
  endWorker,
  findWorker,
  insertWorker,
  listWorkers,
} from './workers.ts'

let folder: string
let database: Database
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-operations-'))
  database = await openSqlite({ file: join(folder, 'records.db') })
})
afterEach(async () => {
  await database.close()
  await rm(folder, { recursive: true, force: true })
})

const operation = (id: string, over: Partial<Operation> = {}): Operation => ({
  id,
  accountId: 'ann',
  kind: 'backup',
  status: 'pending',
  statusReason: 'waiting',
  outcome: null,
  priority: 50,
  sourceId: 's1',
  snapshotId: null,
  poolId: 'local',
  subjects: ['source:s1'],
  input: { deep: { list: [1, 'two', null] } },
  result: null,
  failure: null,
  progress: NO_PROGRESS,
  checkpoint: null,
  intent: null,
  attempt: 0,
  workerId: null,
  retryOf: null,
  resumedCount: 0,
  bytesNotRedone: 0,
  createdAtMs: 1_000,
  startedAtMs: null,
  updatedAtMs: 1_000,
  finishedAtMs: null,
  ...over,
})

const insert = (record: Operation, key?: string) =>
  database.write((tx) => insertOperation(tx, record, key === undefined ? null : { key, hash: 'h' }))

const claim = (workerId = 'w1') =>
  database.write((tx) =>
    claimNext(tx, {
      dialect: 'sqlite',
      workerId,
      statusReason: () => 'running',
      nowMs: 5,
      kindsFull: [],
    }),
  )

test('a record comes back as it went in', async () => {
  const record = operation('o1')
  assert.equal(await insert(record, 'k'), true)
  assert.deepEqual(await findOperation(database.sql, 'o1'), record)
  assert.equal((await findByIdempotencyKey(database.sql, 'ann', 'k'))?.hash, 'h')
  assert.equal(await findByIdempotencyKey(database.sql, 'bob', 'k'), null)
})

test('an id or a key that is taken is refused and changes nothing', async () => {
  await insert(operation('o1'), 'k')
  assert.equal(await insert(operation('o1', { priority: 1 })), false)
  assert.equal(await insert(operation('o2'), 'k'), false)
  assert.equal((await findOperation(database.sql, 'o1'))?.priority, 50)
  assert.equal(await findOperation(database.sql, 'o2'), null)
})

test('a record that was changed since it was read is not replaced', async () => {
  const read = operation('o1')
  await insert(read)
  const paused = transition(read, 'paused', 'paused', 6)
  const replace = (next: Operation) => database.write((tx) => replaceOperation(tx, read, next))
  assert.equal(await replace(paused), true)
  assert.equal(await replace(transition(read, 'cancelled', 'cancelled', 7)), false, 'the status')
  await database.write((tx) => replaceOperation(tx, paused, { ...read, attempt: 1 }))
  assert.equal(await replace(paused), false, 'the attempt')
  await database.write((tx) =>
    replaceOperation(tx, { ...read, attempt: 1 }, { ...read, intent: 'cancel' }),
  )
  assert.equal(await replace(paused), false, 'the intent')
})

test('a claim takes the highest priority, then the older, and raises the attempt', async () => {
  await insert(operation('young', { createdAtMs: 2_000 }))
  await insert(operation('old'))
  await insert(operation('high', { priority: 51, createdAtMs: 3_000 }))
  await insert(operation('paused', { priority: 99, status: 'paused' }))
  const order = [await claim(), await claim(), await claim(), await claim()]
  assert.deepEqual(
    order.map((one) => one?.operation.id),
    ['high', 'old', 'young', undefined],
  )
  const [first] = order
  assert.deepEqual([first?.operation.attempt, first?.operation.workerId], [1, 'w1'])
  assert.equal((await findOperation(database.sql, 'high'))?.startedAtMs, 5)
})

test('every write of a run is refused once another run has begun', async () => {
  await insert(operation('o1'))
  await claim()
  const run = { id: 'o1', attempt: 1 }
  const writes = () =>
    database.write(async (tx) => [
      await saveProgress(tx, { ...run, progress: NO_PROGRESS, nowMs: 6 }),
      await saveCheckpoint(tx, { ...run, checkpoint: { at: 9 }, warningCount: 3 }),
      await saveResumed(tx, { ...run, resumedCount: 1, bytesNotRedone: 5, statusReason: 'r' }),
    ])
  assert.deepEqual(await writes(), [true, true, true])
  const running = await findOperation(database.sql, 'o1')
  assert.ok(running !== null)
  assert.deepEqual([running.checkpoint, running.bytesNotRedone], [{ at: 9 }, 5])
  const back = transition(running, 'pending', 'back', 7)
  await database.write((tx) => replaceOperation(tx, running, { ...back, workerId: 'w1' }))
  assert.deepEqual(await writes(), [false, false, false], 'nobody runs it')
  const second = await claim('w2')
  assert.deepEqual([second?.warningCount, second?.predecessorId], [3, 'w1'])
  assert.deepEqual(second?.operation.checkpoint, { at: 9 })
  assert.deepEqual(await writes(), [false, false, false], 'another runs it')
  const states = [{ id: 'o1', attempt: 2, status: 'running', intent: null }]
  assert.deepEqual(await runStates(database.sql, ['o1', 'none']), states)
})

test('a subject has one holder, whose id is told; a removal to come outlives the release', async () => {
  await insert(operation('o1'))
  await insert(operation('o2'))
  const take = (id: string, subjects: string[]) =>
    database.write((tx) => takeHolds(tx, id, subjects))
  assert.equal(await take('o1', ['b', 'a', 'a']), null)
  assert.equal(await take('o1', ['a']), null, 'its own')
  assert.deepEqual(await take('o2', ['c', 'b']), { subject: 'b', operationId: 'o1' })
  await database.write((tx) => rememberDiscard(tx, 'o1'))
  await database.write((tx) => rememberDiscard(tx, 'o1'))
  await database.write((tx) => releaseHolds(tx, 'o1'))
  assert.equal(await findHolder(database.sql, 'a'), null)
  assert.deepEqual(await listDiscards(database.sql, 10), ['o1'])
  await database.write((tx) => forgetDiscard(tx, 'o1'))
  assert.deepEqual(await listDiscards(database.sql, 10), [])
})

test('a worker that was taken for dead cannot beat, and is kept while somebody asks about it', async () => {
  const worker = { host: 'h', pid: 1, bootId: 'b', beat: 0, startedAtMs: 1 }
  await database.write((tx) => insertWorker(tx, { id: 'w1', ...worker }))
  const beat = () => database.write((tx) => beatWorker(tx, 'w1'))
  assert.equal(await beat(), true)
  assert.deepEqual(await listWorkers(database.sql), [{ id: 'w1', ...worker, beat: 1 }])
  await insert(operation('o1', { workerId: 'w1' }))
  await database.write((tx) => endWorker(tx, 'w1'))
  assert.equal(await beat(), false)
  assert.deepEqual(await listWorkers(database.sql), [])
  await database.write((tx) => deleteEndedWorkers(tx))
  assert.equal((await findWorker(database.sql, 'w1'))?.host, 'h', 'o1 asks whether it has ended')
  const asks = operation('o1', { workerId: 'w1' })
  await database.write((tx) => replaceOperation(tx, asks, { ...asks, workerId: null }))
  await database.write((tx) => deleteEndedWorkers(tx))
  assert.equal(await findWorker(database.sql, 'w1'), null)
})

test('warnings are kept up to the limit, counted beyond it, and taken back to a checkpoint', async () => {
  await insert(operation('o1'))
  const numbered = (from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, index) => ({
      number: from + index,
      code: 'odd',
      message: 'odd',
      item: `item ${from + index}`,
    }))
  const count = () => countWarnings(database.sql, 'o1')
  const append = (from: number, to: number) =>
    database.write((tx) => appendWarnings(tx, 'o1', { warnings: numbered(from, to), total: to }))
  assert.equal(await count(), 0)
  await append(1, 10)
  assert.equal(await count(), 10)
  await append(11, WARNINGS_KEPT_MAX + 40)
  assert.equal(await count(), WARNINGS_KEPT_MAX + 40)
  const after = WARNINGS_KEPT_MAX - 1
  const last = await listWarnings(database.sql, 'o1', { after, limit: 50 })
  assert.deepEqual(last, numbered(WARNINGS_KEPT_MAX, WARNINGS_KEPT_MAX))
  await database.write((tx) => truncateWarnings(tx, 'o1', WARNINGS_KEPT_MAX + 4))
  assert.equal(await count(), WARNINGS_KEPT_MAX + 4)
  await database.write((tx) => truncateWarnings(tx, 'o1', 7))
  assert.equal(await count(), 7)
})
