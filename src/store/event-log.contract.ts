import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LoggedEvent } from '../core/events.ts'
import {
  addDevice,
  addEvent,
  type DatabaseUnderTest,
  until,
  withRecords,
} from './database.test-records.ts'
import type { Database } from './database.ts'
import { eventsSince, firstSequence, lastSequence } from './event-log.ts'

const sequences = (events: readonly LoggedEvent[]) => events.map((event) => event.sequence)

/** Part of `describeDatabase`: the log, and who is told of it. */
export function describeEvents(subject: DatabaseUnderTest): void {
  test('the log gives back what was appended, filtered and in order', () =>
    withRecords(subject, async (open) => {
      const database = await open()
      assert.equal(await lastSequence(database.sql), 0)
      assert.equal(await firstSequence(database.sql), 0)
      for (const id of ['one', 'two', 'one']) await database.write(async (tx) => addEvent(tx, id))
      const all = await eventsSince(database.sql, { sinceSequence: 0, limit: 10 })
      assert.deepEqual(all[0], {
        sequence: all[0]?.sequence,
        topic: 'device',
        topicId: 'one',
        accountId: 'ada',
        type: 'created',
        atMs: 1_700_000_000_123,
        data: { name: 'one', umlaut: 'ö' },
      })
      const [first = 0, second = 0, third = 0] = sequences(all)
      assert.ok(0 < first && first < second && second < third)
      assert.equal(await firstSequence(database.sql), first)
      assert.equal(await lastSequence(database.sql), third)
      const read = async (filter: Partial<Parameters<typeof eventsSince>[1]>) =>
        sequences(await eventsSince(database.sql, { sinceSequence: 0, limit: 10, ...filter }))
      assert.deepEqual(await read({ sinceSequence: first }), [second, third])
      assert.deepEqual(await read({ limit: 2 }), [first, second])
      assert.deepEqual(await read({ topicId: 'one' }), [first, third])
      assert.deepEqual(await read({ topics: ['operation', 'pool'] }), [])
      assert.deepEqual(await read({ topics: ['operation', 'device'] }), [first, second, third])
      assert.deepEqual(await read({ accountId: 'bob' }), [])
    }))

  test('events rise in commit order under 200 concurrent writers, and a reader misses none', () =>
    withRecords(subject, async (open) => {
      const databases = [await open(), ...(subject.shared ? [await open()] : [])]
      const reader = databases.at(-1) as Database
      const heard = databases.map((database) => {
        const events: LoggedEvent[] = []
        database.onEvents((news) => events.push(...news))
        return events
      })
      const followed: LoggedEvent[] = []
      const writes = Promise.all(
        Array.from({ length: 200 }, async (_, writer) => {
          const database = databases[writer % databases.length] as Database
          for (let round = 0; round < 5; round += 1) {
            await database.write(async (tx) => {
              await addDevice(tx, `${writer}-${round}`)
              addEvent(tx, `${writer}-${round}`)
              addEvent(tx, `${writer}-${round} again`)
            })
          }
        }),
      ).then(() => ({ written: true }))
      for (let done = false; !done; ) {
        const { written } = await Promise.race([writes, Promise.resolve({ written: false })])
        const sinceSequence = followed.at(-1)?.sequence ?? 0
        const page = await eventsSince(reader.sql, { sinceSequence, limit: 100 })
        followed.push(...page)
        done = written && page.length === 0
        await new Promise((resolve) => setImmediate(resolve))
      }
      const all = await eventsSince(reader.sql, { sinceSequence: 0, limit: 10_000 })
      assert.equal(all.length, 2_000)
      assert.deepEqual(sequences(followed), sequences(all), 'a reader who follows misses none')
      for (const events of heard) {
        await until(() => events.length >= 2_000, 'every event was told')
        assert.deepEqual(events, all, 'a listener hears each once, in order')
      }
    }))

  test('a listener hears nothing after it left, and one that throws disturbs nobody', () =>
    withRecords(subject, async (open) => {
      const database = await open()
      const left: string[] = []
      const stayed: string[] = []
      const leave = database.onEvents((events) => {
        left.push(...events.map((event) => event.topicId))
      })
      database.onEvents(() => {
        throw new Error('a listener with a bug')
      })
      database.onEvents((events) => {
        stayed.push(...events.map((event) => event.topicId))
      })
      await database.write(async (tx) => addEvent(tx, 'one'))
      await until(() => stayed.length === 1, 'the first event was told')
      leave()
      await database.write(async (tx) => addEvent(tx, 'two'))
      await until(() => stayed.length === 2, 'the second event was told')
      assert.deepEqual(left, ['one'])
      assert.deepEqual(stayed, ['one', 'two'])
    }))

  test('wake reaches every listener once, here and in other objects', () =>
    withRecords(subject, async (open) => {
      const databases = [await open(), ...(subject.shared ? [await open()] : [])]
      const woken = databases.map((database) => {
        const wakes: string[] = []
        database.onWake((topic, id) => wakes.push(`${topic} ${id}`))
        return wakes
      })
      databases[0]?.wake('work', 'an id')
      databases[0]?.wake('intent', 'b')
      for (const wakes of woken) await until(() => wakes.length >= 2, 'everybody was woken')
      // Whatever came too often would stand before the wake that is sent afterwards.
      databases[0]?.wake('progress', 'c')
      for (const wakes of woken) {
        await until(() => wakes.includes('progress c'), 'everybody was woken again')
        assert.deepEqual(wakes, ['work an id', 'intent b', 'progress c'])
      }
    }))
}
