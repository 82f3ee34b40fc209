import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { AppError } from '../core/errors.ts'
import { openSqlite } from '../store/sqlite.ts'
import { ann, Bench, bob } from './bench.test-support.ts'
import { QueueLimit } from './queue-limit.ts'

test('an account has so many operations that have not ended, and is told so; others are not', async () => {
  const bench = await Bench.open((folder) => openSqlite({ file: join(folder, 'records.db') }))
  try {
    const jobs = bench.newJobs(undefined, { livePerAccountMax: 25 })
    const submitted = await Promise.allSettled(
      Array.from({ length: 40 }, () => jobs.submit(ann, { kind: 'custom' })),
    )
    const ids = submitted.flatMap((one) => (one.status === 'fulfilled' ? [one.value.id] : []))
    assert.equal(ids.length, 25)
    await assert.rejects(jobs.submit(ann, { kind: 'custom' }), (error) => {
      assert.ok(error instanceof AppError)
      assert.equal(error.code, 'rate_limited')
      assert.match(error.message, /^25 operations of this account have not ended yet, and 25 may/)
      return true
    })
    await jobs.submit(bob, { kind: 'custom' })
    await jobs.cancel(ann, ids[0] ?? '')
    await jobs.submit(ann, { kind: 'custom' })
  } finally {
    await bench.close()
  }
})

test('far below the limit few submissions count anything', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-queue-'))
  const database = await openSqlite({ file: join(folder, 'records.db') })
  try {
    const limit = new QueueLimit(1_000)
    let reads = 0
    const counted = new Proxy(database.sql, {
      get(sql, name) {
        if (name === 'selectFrom') reads += 1
        const value: unknown = Reflect.get(sql, name, sql)
        return typeof value === 'function' ? value.bind(sql) : value
      },
    })
    for (let count = 0; count < 500; count += 1) await limit.take(counted, 'ann')
    assert.ok(reads >= 2 && reads <= 10, `${reads} times`)
  } finally {
    await database.close()
    await rm(folder, { recursive: true, force: true })
  }
})
