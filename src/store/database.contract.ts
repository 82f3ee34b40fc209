import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { sql as raw } from 'kysely'
import {
  addDevice,
  addEvent,
  type DatabaseUnderTest,
  deviceIds,
  withRecords,
} from './database.test-records.ts'
import type { Database, WriteTransaction } from './database.ts'
import { describeEvents } from './event-log.contract.ts'
import { eventsSince } from './event-log.ts'
import { describeRecords } from './records.contract.ts'

export function describeDatabase(name: string, subject: DatabaseUnderTest): void {
  describe(name, () => {
    before(async () => subject.start?.())
    after(async () => subject.stop?.())
    describeUnits(subject)
    describeEvents(subject)
    describeVersions(subject)
    describeRecords(subject)
    if (subject.shared) describeSharing(subject)
  })
}

function describeUnits(subject: DatabaseUnderTest): void {
  test('a durable unit is synced with its commit, a relaxed one is not', () =>
    withRecords(subject, async (open) => {
      const database = await open()
      const mode = (durable: boolean) =>
        database.write(async ({ sql }) => syncMode(database.dialect, sql), { durable })
      assert.equal(await mode(true), 'synced')
      assert.equal(await mode(false), 'relaxed')
      const together = await Promise.all([mode(false), mode(true), mode(false)])
      assert.deepEqual(together, ['synced', 'synced', 'synced'], 'the most demanding one decides')
    }))

  test('a unit that throws is rolled back alone, with its events', () =>
    withRecords(subject, async (open) => {
      const database = await open()
      const settled = await Promise.allSettled(
        ['one', 'two', 'three'].map((id) =>
          database.write(async (tx) => {
            await addDevice(tx, id)
            addEvent(tx, id)
            if (id === 'two') throw new Error('thought better of it')
            return id
          }),
        ),
      )
      assert.deepEqual(
        settled.map((unit) => (unit.status === 'fulfilled' ? unit.value : String(unit.reason))),
        ['one', 'Error: thought better of it', 'three'],
      )
      assert.deepEqual(await deviceIds(database), ['one', 'three'])
      const events = await eventsSince(database.sql, { sinceSequence: 0, limit: 10 })
      assert.deepEqual(
        events.map((event) => event.topicId),
        ['one', 'three'],
      )
    }))

  test('a statement that fails spoils its own unit alone, also when the unit hides it', () =>
    withRecords(subject, async (open) => {
      const database = await open()
      const add = (id: string) => database.write((tx) => addDevice(tx, id))
      const [one, same, two] = await Promise.allSettled([add('one'), add('one'), add('two')])
      assert.deepEqual(
        [one.status, same.status, two.status],
        ['fulfilled', 'rejected', 'fulfilled'],
      )
      const hide = () =>
        database.write(async (tx) => {
          await addDevice(tx, 'one').catch(() => {
            // Hidden on purpose.
          })
        })
      const [three, , four] = await Promise.allSettled([add('three'), hide(), add('four')])
      assert.deepEqual([three.status, four.status], ['fulfilled', 'fulfilled'])
      const [five] = await Promise.allSettled([add('five'), hide()])
      assert.equal(five.status, 'fulfilled', 'also when it comes last')
      assert.deepEqual(await deviceIds(database), ['five', 'four', 'one', 'three', 'two'])
    }))

  test('units that arrive together share one commit, in the order they came', () =>
    withRecords(subject, async (open) => {
      const database = await open()
      const order: number[] = []
      const seen = await Promise.all(
        Array.from({ length: 20 }, (_, index) =>
          database.write(async (tx) => {
            order.push(index)
            await addDevice(tx, `device-${index}`)
            return (await deviceIds(database)).length
          }),
        ),
      )
      assert.deepEqual(seen, Array(20).fill(0), 'nothing is visible before the one commit')
      assert.deepEqual(
        order,
        Array.from({ length: 20 }, (_, index) => index),
      )
      assert.equal((await deviceIds(database)).length, 20)
    }))

  test('a unit cannot call write, and reading cannot write', () =>
    withRecords(subject, async (open) => {
      const database = await open()
      const nested = database.write(() => database.write((tx) => addDevice(tx, 'inner')))
      await assert.rejects(nested, /must not call write/)
      const row = { id: 'x', account_id: 'ada', name: 'x', created_at_ms: 1 }
      await assert.rejects(database.sql.insertInto('devices').values(row).execute())
      assert.deepEqual(await deviceIds(database), [])
      await database.write((tx) => addDevice(tx, 'outer'))
      assert.deepEqual(await deviceIds(database), ['outer'], 'the lane goes on')
    }))

  test('close waits for the units it took and refuses later ones', () =>
    withRecords(subject, async (open) => {
      const database = await open()
      const taken = Array.from({ length: 10 }, (_, index) =>
        database.write((tx) => addDevice(tx, `device-${index}`)),
      )
      const closed = database.close()
      await assert.rejects(
        database.write((tx) => addDevice(tx, 'late')),
        { code: 'unavailable' },
      )
      await Promise.all(taken)
      await closed
      assert.equal((await deviceIds(await open())).length, 10)
    }))

  test('whole numbers come back as numbers up to 2^53 - 1', () =>
    withRecords(subject, async (open) => {
      const database = await open()
      const quota = Number.MAX_SAFE_INTEGER
      const row = { id: 'ada', name: 'Ada', quota_bytes: quota, created_at_ms: 1_763_693_100_000 }
      await database.write(({ sql }) => sql.insertInto('accounts').values(row).execute())
      const kept = await database.sql.selectFrom('accounts').selectAll().executeTakeFirst()
      assert.deepEqual({ ...kept }, row)
      const count = await database.sql
        .selectFrom('accounts')
        .select(({ fn }) => fn.countAll<number>().as('count'))
        .executeTakeFirst()
      assert.equal(count?.count, 1)
    }))
}

async function syncMode(
  dialect: Database['dialect'],
  transaction: WriteTransaction['sql'],
): Promise<string> {
  if (dialect === 'postgres') {
    const { rows } = await raw<{ mode: string }>`
      select current_setting('synchronous_commit') as mode`.execute(transaction)
    return rows[0]?.mode === 'off' ? 'relaxed' : 'synced'
  }
  const { rows } = await raw<{ synchronous: number }>`pragma synchronous`.execute(transaction)
  // https://www.sqlite.org/pragma.html#pragma_synchronous: 1 is NORMAL, 2 is FULL.
  return rows[0]?.synchronous === 2 ? 'synced' : 'relaxed'
}

function describeVersions(subject: DatabaseUnderTest): void {
  test('opening again keeps every record', () =>
    withRecords(subject, async (open) => {
      const first = await open()
      await first.write(async (tx) => {
        await addDevice(tx, 'kept')
        addEvent(tx, 'kept')
      })
      await first.close()
      const second = await open()
      assert.deepEqual(await deviceIds(second), ['kept'])
      assert.equal((await eventsSince(second.sql, { sinceSequence: 0, limit: 10 })).length, 1)
    }))

  test('records of a newer version are refused with a sentence, and left as they are', () =>
    withRecords(subject, async (open) => {
      const database = await open()
      await database.write((tx) =>
        raw`insert into migrations (number, name) values (9000, 'from-the-future')`.execute(tx.sql),
      )
      await database.close()
      await assert.rejects(open(), (error: { code?: string; message?: string }) => {
        assert.equal(error.code, 'unavailable')
        assert.match(
          error.message ?? '',
          /schema version 9000.*knows versions up to \d+: start the/,
        )
        return true
      })
    }))
}

function describeSharing(subject: DatabaseUnderTest): void {
  test('several processes may open new records at once', () =>
    withRecords(subject, async (open) => {
      const opened = await Promise.all([open(), open(), open(), open()])
      await opened[0]?.write((tx) => addDevice(tx, 'one'))
      for (const database of opened) assert.deepEqual(await deviceIds(database), ['one'])
    }))

  test('a unit that lost a race is run again, and so is all that shared its commit', () =>
    withRecords(subject, async (open) => {
      const databases = [await open(), await open()]
      await databases[0]?.write(async (tx) => {
        await addDevice(tx, 'left')
        await addDevice(tx, 'right')
      })
      const rename = (tx: WriteTransaction, id: string) =>
        tx.sql.updateTable('devices').set({ name: 'renamed' }).where('id', '=', id).execute()
      let runs = 0
      let holding = 0
      const bothHold = Promise.withResolvers<void>()
      // Each holds one row and wants the other's: PostgreSQL ends one of the two.
      const cross = async (tx: WriteTransaction, first: string, second: string) => {
        runs += 1
        await rename(tx, first)
        holding += 1
        if (holding === 2) bothHold.resolve()
        await bothHold.promise
        await rename(tx, second)
        addEvent(tx, first)
      }
      await Promise.all([
        databases[0]?.write((tx) => cross(tx, 'left', 'right')),
        databases[0]?.write((tx) => addDevice(tx, 'beside one')),
        databases[1]?.write((tx) => cross(tx, 'right', 'left')),
        databases[1]?.write((tx) => addDevice(tx, 'beside two')),
      ])
      assert.ok(runs > 2, 'there was a race')
      const database = databases[0] as Database
      assert.deepEqual(await deviceIds(database), ['beside one', 'beside two', 'left', 'right'])
      assert.equal((await eventsSince(database.sql, { sinceSequence: 0, limit: 10 })).length, 2)
    }))
}
