import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, suite, test } from 'node:test'
import type { NewEvent, ProgressNews } from '../core/events.ts'
import type { Operation } from '../core/operation.ts'
import { NO_PROGRESS } from '../core/progress.ts'
import type { Database } from '../store/database.ts'
import { insertOperation } from '../store/operations.ts'
import { openSqlite } from '../store/sqlite.ts'
import { Hub, type LiveNews } from './hub.ts'
import { type Encoder, parseSubjects, Session, type Sink } from './session.ts'

type Told =
  | LiveNews
  | { type: 'snapshot'; sequence: number; operations: readonly Operation[] }
  | { type: 'resync'; sequence: number }

const encoder: Encoder<Told> = {
  news: (news) => news,
  snapshot: (sequence, operations) => ({ type: 'snapshot', sequence, operations }),
  resync: (sequence) => ({ type: 'resync', sequence }),
  byteLength: () => 1000,
}

/** A reader that takes what it is sent only while it reads. */
class Reader implements Sink<Told> {
  readonly told: Told[] = []
  readonly ends: string[] = []
  readonly #held: { frame: Told; left: () => void }[] = []
  isReading = true

  send(frame: Told, left: () => void): void {
    if (!this.isReading) {
      this.#held.push({ frame, left })
      return
    }
    this.told.push(frame)
    queueMicrotask(left)
  }

  bufferedBytes(): number {
    return this.#held.length * 64 * 1024
  }

  end(why: string): void {
    this.ends.push(why)
  }

  get heldCount(): number {
    return this.#held.length
  }

  readOn(): void {
    this.isReading = true
    const held = this.#held.splice(0)
    this.told.push(...held.map(({ frame }) => frame))
    for (const { left } of held) left()
  }

  sequences(): number[] {
    return this.told.flatMap((told) => (told.type === 'event' ? [told.event.sequence] : []))
  }
}

const log = {
  warn: (message: string): never => {
    throw new Error(message)
  },
}

const operation = (id: string, accountId: string): Operation => ({
  id,
  accountId,
  kind: 'backup',
  status: 'running',
  statusReason: 'running',
  outcome: null,
  priority: 50,
  sourceId: `source-of-${id}`,
  snapshotId: null,
  poolId: null,
  subjects: [],
  input: {},
  result: null,
  failure: null,
  progress: NO_PROGRESS,
  checkpoint: null,
  intent: null,
  attempt: 1,
  workerId: null,
  retryOf: null,
  resumedCount: 0,
  bytesNotRedone: 0,
  createdAtMs: 1,
  startedAtMs: 1,
  updatedAtMs: 1,
  finishedAtMs: null,
})

const event = (topicId: string, type: NewEvent['type'], accountId = 'anna'): NewEvent => ({
  topic: 'operation',
  topicId,
  accountId,
  type,
  atMs: 1,
  data: {},
})

const news = (operationId: string, bytesDone: number): ProgressNews => ({
  operationId,
  accountId: 'anna',
  sourceId: `source-of-${operationId}`,
  progress: { ...NO_PROGRESS, bytesDone },
})

const everything = () => {
  const parsed = parseSubjects(['operations'])
  assert.ok('subscription' in parsed)
  return parsed.subscription
}

suite('live session', () => {
  let folder: string
  let database: Database
  let hub: Hub
  let progress: (news: ProgressNews) => void

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'holdfast-live-'))
    database = await openSqlite({ file: join(folder, 'records.sqlite') })
    hub = new Hub({
      database,
      onProgress: (listener) => {
        progress = listener
        return () => undefined
      },
      log,
    })
  })

  afterEach(async () => {
    await hub.close()
    await database.close()
    await rm(folder, { recursive: true })
  })

  const append = async (...events: NewEvent[]) => {
    await database.write(async (tx) => {
      for (const each of events) tx.append(each)
    })
  }

  const settled = async () => {
    const last = await hub.lastSequence()
    while (hub.toldSequence < last) await new Promise(setImmediate)
  }

  const open = (reader: Reader, accountId: string | null = 'anna') =>
    new Session({ hub, accountId, sink: reader, encoder, log })

  test('tells every event once and in sequence, whenever the reader comes', async () => {
    const readers: Reader[] = []
    const writing = (async () => {
      for (let count = 0; count < 300; count += 1) {
        await append(event('a', 'phase'), event('b', 'phase', count % 2 === 0 ? 'anna' : 'bert'))
      }
    })()
    const sessions: Session<Told>[] = []
    for (let count = 0; count < 20; count += 1) {
      const reader = new Reader()
      readers.push(reader)
      const session = open(reader)
      sessions.push(session)
      await session.subscribe(everything(), 0)
    }
    await writing
    await settled()
    for (const reader of readers) {
      const sequences = reader.sequences()
      assert.equal(sequences.length, 450)
      assert.deepEqual(
        sequences,
        [...new Set(sequences)].sort((a, b) => a - b),
      )
    }
    for (const session of sessions) session.close()
  })

  test('begins with a snapshot, true at its sequence, and only then tells events', async () => {
    await database.write(async (tx) => {
      await insertOperation(tx, operation('a', 'anna'), null)
      await insertOperation(tx, operation('b', 'bert'), null)
      tx.append(event('a', 'started'))
    })
    const reader = new Reader()
    const session = open(reader)
    await session.subscribe(everything(), null)
    await append(event('a', 'phase'))
    await settled()
    const [first, second] = reader.told
    assert.equal(first?.type, 'snapshot')
    assert.equal(first.sequence, 1)
    assert.deepEqual(
      first.operations.map(({ id }) => id),
      ['a'],
      'nothing of another account',
    )
    assert.equal(second?.type, 'event')
    assert.equal(second.event.sequence, 2)
    assert.equal(second.operation?.id, 'a', 'the state comes along')
    session.close()
  })

  test('tells what was missed before the snapshot when it is told where to go on', async () => {
    await append(event('a', 'submitted'), event('a', 'started'), event('a', 'phase'))
    const reader = new Reader()
    const session = open(reader)
    await session.subscribe(everything(), 1)
    assert.deepEqual(
      reader.told.map(({ type }) => type),
      ['event', 'event', 'snapshot'],
    )
    assert.deepEqual(reader.sequences(), [2, 3])
    session.close()
  })

  test('says that everything must be read anew where the log does not reach', async () => {
    await append(event('a', 'submitted'), event('a', 'started'), event('a', 'phase'))
    await database.write(async (tx) => {
      await tx.sql.deleteFrom('events').where('sequence', '<', 3).execute()
    })
    for (const since of [1, 99]) {
      const reader = new Reader()
      const session = open(reader)
      await session.subscribe(everything(), since)
      assert.deepEqual(
        reader.told.map(({ type }) => type),
        ['resync', 'snapshot'],
        `since ${since}`,
      )
      session.close()
    }
  })

  test('keeps only the newest progress for a reader that does not read, and every event', async () => {
    const reader = new Reader()
    const session = open(reader)
    await session.subscribe(everything(), null)
    reader.told.length = 0
    reader.isReading = false
    for (let count = 0; count < 10_000; count += 1) progress(news(`o${count % 3}`, count))
    assert.ok(reader.heldCount < 10, 'what left is bounded')
    await append(event('o1', 'completed'))
    await settled()
    reader.readOn()
    await new Promise(setImmediate)
    const late = reader.told.slice(-3)
    assert.equal(reader.sequences().length, 1)
    assert.ok(reader.told.length < 15)
    const lines = late.map((told) => (told.type === 'progress' ? told.progress.bytesDone : 'end'))
    assert.equal(lines[0], 'end', 'the end comes before what could be replaced')
    assert.deepEqual(lines.slice(1).sort(), [9998, 9999], 'of the others the newest')
    assert.deepEqual(reader.ends, [])
    session.close()
  })

  test('tells no progress of an operation after its end', async () => {
    const reader = new Reader()
    const session = open(reader)
    await session.subscribe(everything(), null)
    progress(news('a', 1))
    await append(event('a', 'completed'))
    await settled()
    progress(news('a', 2))
    assert.deepEqual(
      reader.told.map(({ type }) => type),
      ['snapshot', 'progress', 'event'],
    )
    session.close()
  })

  test('lets a reader go that is too many events behind, and drops none in silence', async () => {
    const reader = new Reader()
    const session = open(reader)
    await session.subscribe(everything(), null)
    reader.isReading = false
    for (let count = 0; count < 30; count += 1) {
      await append(...Array.from({ length: 100 }, () => event('a', 'phase')))
    }
    await settled()
    assert.deepEqual(reader.ends, ['behind'])
    assert.equal(hub.listenerCount, 0)
    session.close()
  })

  test('feeds a reader that comes late and slowly from the log, holding little', async () => {
    for (let count = 0; count < 30; count += 1) {
      await append(...Array.from({ length: 100 }, () => event('a', 'phase')))
    }
    const reader = new Reader()
    reader.isReading = false
    const session = open(reader)
    const live = session.subscribe(everything(), 0)
    let heldMax = 0
    for (let turn = 0; reader.sequences().length < 3000 && turn < 100_000; turn += 1) {
      await new Promise(setImmediate)
      heldMax = Math.max(heldMax, reader.heldCount)
      reader.readOn()
      reader.isReading = false
    }
    reader.readOn()
    await live
    assert.equal(reader.sequences().length, 3000)
    assert.ok(heldMax < 10, `held ${heldMax}`)
    session.close()
  })

  test('watches one operation or one source and nothing else', async () => {
    await database.write(async (tx) => {
      await insertOperation(tx, operation('a', 'anna'), null)
      await insertOperation(tx, operation('b', 'anna'), null)
      await insertOperation(tx, { ...operation('c', 'bert') }, null)
    })
    for (const subject of ['operation:a', 'source:source-of-a', 'operation:c']) {
      const parsed = parseSubjects([subject])
      assert.ok('subscription' in parsed)
      const reader = new Reader()
      const session = open(reader)
      await session.subscribe(parsed.subscription, null)
      await append(event('a', 'phase'), event('b', 'phase'), event('c', 'phase', 'bert'))
      progress(news('a', 1))
      progress(news('b', 1))
      await settled()
      const told = reader.told.flatMap((each) => {
        if (each.type === 'event') return [`event ${each.event.topicId}`]
        if (each.type === 'progress') return [`progress ${each.operationId}`]
        return each.type === 'snapshot' ? each.operations.map(({ id }) => `now ${id}`) : []
      })
      const expected = subject === 'operation:c' ? [] : ['now a', 'event a', 'progress a']
      assert.deepEqual(told.sort(), expected.sort(), subject)
      session.close()
    }
  })

  test('loses nothing when the topics are changed while it catches up', async () => {
    await append(...Array.from({ length: 1200 }, () => event('a', 'phase')))
    const reader = new Reader()
    const session = open(reader)
    const first = session.subscribe(everything(), 0)
    await new Promise(setImmediate)
    const second = session.subscribe(everything(), null)
    await Promise.all([first, second])
    await append(event('a', 'phase'))
    await settled()
    assert.deepEqual(
      reader.sequences(),
      Array.from({ length: 1201 }, (_, index) => index + 1),
    )
    session.close()
  })
})

test('names the word that is no subject', () => {
  assert.deepEqual(parseSubjects(['operations', 'weather']), { unknown: 'weather' })
})
