import assert from 'node:assert/strict'
import { after, before, describe, type TestContext, test } from 'node:test'
import pg from 'pg'
import { query, startPostgres, type TestPostgres } from '../../test/support/postgres.ts'
import type { LoggedEvent } from '../core/events.ts'
import { describeDatabase } from './database.contract.ts'
import {
  addDevice,
  addEvent,
  deviceIds,
  type RecordsUnderTest,
  until,
  withRecords,
} from './database.test-records.ts'
import type { Database } from './database.ts'
import { eventsSince } from './event-log.ts'
import { openPostgres } from './postgres.ts'

let server: TestPostgres | null = null

interface ServerRecords extends RecordsUnderTest {
  readonly url: string
}

const records = async (): Promise<ServerRecords> => {
  if (server === null) throw new Error('the server was not started')
  const url = await server.createDatabase()
  return {
    url,
    open: () => openPostgres({ url }),
    remove: async () => {
      // They go with the server.
    },
  }
}

const subject = {
  shared: true,
  create: records,
  start: async () => {
    server = await startPostgres()
  },
  stop: async () => {
    await server?.stop()
    server = null
  },
}

describeDatabase('the store on PostgreSQL', subject)

describe('PostgreSQL in trouble', () => {
  before(subject.start)
  after(subject.stop)

  test('a listener that lost its connection catches up, once and in order', async () => {
    await withRecords(subject, async (open, { url }) => {
      const [listening, writing] = [await open(), await open()]
      const heard: LoggedEvent[] = []
      listening.onEvents((events) => heard.push(...events))
      const append = (id: string) => writing.write(async (tx) => addEvent(tx, id))
      await append('before')
      await until(() => heard.length === 1, 'the connection was good')
      for (let cut = 0; cut < 3; cut += 1) {
        await query(url, CUT_LISTENERS)
        for (let index = 0; index < 20; index += 1) await append(`after cut ${cut}: ${index}`)
      }
      const sinceMs = performance.now()
      await until(() => heard.length >= 61, 'everything was caught up')
      assert.ok(performance.now() - sinceMs < 4_000, 'by reconnecting, not by a later check')
      const all = await eventsSince(writing.sql, { sinceSequence: 0, limit: 100 })
      assert.deepEqual(heard, all)
      const woken: string[] = []
      listening.onWake((topic, id) => woken.push(`${topic} ${id}`))
      await until(() => {
        writing.wake('work', 'x')
        return woken.length > 0
      }, 'wakes came through again')
    })
  })

  test('an event that is slow to commit is never overtaken by a later sequence', async () => {
    await withRecords(subject, async (open, { url }) => {
      const databases = [await open(), await open()]
      const heard: string[] = []
      databases[1]?.onEvents((events) => heard.push(...events.map((event) => event.topicId)))
      await query(url, SLOW_COMMIT)
      const slow = databases[0]?.write(async (tx) => addEvent(tx, 'slow'))
      await untilOneSleeps(url)
      await databases[1]?.write(async (tx) => addEvent(tx, 'fast'))
      const events = await eventsSince(databases[1]?.sql as Database['sql'], FROM_START)
      assert.deepEqual(
        events.map((event) => event.topicId),
        ['slow', 'fast'],
      )
      await slow
      await until(() => heard.length === 2, 'both were told')
      assert.deepEqual(heard, ['slow', 'fast'])
    })
  })

  test('what was acknowledged is there after the server crashed, and the store goes on', async () => {
    await withRecords(subject, async (open) => {
      const database = await open()
      const heard: string[] = []
      database.onEvents((events) => heard.push(...events.map((event) => event.topicId)))
      const acknowledged: string[] = []
      const writers = Array.from({ length: 16 }, (_, writer) =>
        writeUntilRefused(database, `device-${writer}`, acknowledged),
      )
      await until(() => acknowledged.length > 200, 'the writers were at work')
      await server?.crashAndRestart()
      const refusals = await Promise.all(writers)
      for (const refusal of refusals)
        assert.equal((refusal as { code?: string }).code, 'unavailable')
      const kept = new Set(await deviceIds(database))
      assert.deepEqual(
        acknowledged.filter((id) => !kept.has(id)),
        [],
      )
      await database.write(async (tx) => addEvent(tx, 'afterwards'))
      await until(() => heard.at(-1) === 'afterwards', 'events came through again')
      const all = await eventsSince(database.sql, { sinceSequence: 0, limit: 100_000 })
      assert.deepEqual(
        heard,
        all.map((event) => event.topicId),
      )
    })
  })

  // The driver only warns of it today, once in a process, and will refuse it one day.
  test('no connection is asked anything while it is busy', async (context) => {
    const askedWhileBusy = watchConnections(context)
    await withRecords(subject, async (open) => {
      const [database, other] = [await open(), await open()]
      const woken = new Set<string>()
      other.onWake((_topic, id) => woken.add(id))
      const reads: Promise<unknown>[] = []
      for (let turn = 0; turn < 50; turn += 1) {
        database.wake('progress', `op-${turn}`)
        // More at once than there are connections.
        for (let read = 0; read < 3; read += 1) reads.push(deviceIds(database))
        reads.push(database.write(async (tx) => addEvent(tx, `event-${turn}`)))
        await new Promise((resolve) => setImmediate(resolve))
      }
      await Promise.all(reads)
      await until(() => woken.size === 50, 'every wake came through')
      assert.deepEqual(askedWhileBusy, [])
    })
  })

  test('a server that is not there is said so, without its password', async () => {
    const url = 'postgres://holdfast:hunter2@127.0.0.1:1/records'
    await assert.rejects(openPostgres({ url }), (error: { code?: string; message?: string }) => {
      assert.equal(error.code, 'unavailable')
      assert.doesNotMatch(JSON.stringify(error) + error.message, /hunter2/)
      return true
    })
    const { url: known } = await records()
    const missing = new URL('/nowhere', known).href
    await assert.rejects(openPostgres({ url: missing }), {
      code: 'unavailable',
      message: /create it/,
    })
  })
})

/** Answers a list to which each question is added that a connection got before it had answered the last. */
function watchConnections(context: TestContext): readonly string[] {
  const askedWhileBusy: string[] = []
  const busy = new WeakSet<object>()
  type Ask = (...question: readonly unknown[]) => Promise<unknown>
  const ask = pg.Client.prototype.query as Ask
  context.mock.method(
    pg.Client.prototype,
    'query',
    function (this: pg.Client, ...question: readonly unknown[]) {
      const [what] = question
      if (busy.has(this))
        askedWhileBusy.push(typeof what === 'string' ? what : JSON.stringify(what))
      busy.add(this)
      return ask.apply(this, [...question]).finally(() => busy.delete(this))
    },
  )
  return askedWhileBusy
}

const FROM_START = { sinceSequence: 0, limit: 100 }

/** Makes the commit of the event `slow` take half a second: its sequence is given by then. */
const SLOW_COMMIT = `
  create function sleep_a_while() returns trigger language plpgsql as
    $$ begin perform pg_sleep(0.5); return null; end $$;
  create constraint trigger slow_commit after insert on events deferrable initially deferred
    for each row when (new.topic_id = 'slow') execute function sleep_a_while()`

async function untilOneSleeps(url: string): Promise<void> {
  let asleep = false
  while (!asleep) {
    const { rowCount } = await query(
      url,
      "select 1 from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'",
    )
    asleep = rowCount === 1
  }
}

const CUT_LISTENERS = `select pg_terminate_backend(pid) from pg_stat_activity
  where datname = current_database() and query like 'listen %'`

/** Answers the error that ended the writing. */
async function writeUntilRefused(
  database: Database,
  name: string,
  acknowledged: string[],
): Promise<unknown> {
  for (let round = 0; ; round += 1) {
    const id = `${name}-${round}`
    try {
      await database.write(async (tx) => {
        await addDevice(tx, id)
        addEvent(tx, id)
      })
      acknowledged.push(id)
    } catch (error) {
      return error
    }
  }
}
