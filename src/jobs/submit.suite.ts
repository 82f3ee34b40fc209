import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { AppError } from '../core/errors.ts'
import type { Operation } from '../core/operation.ts'
import { ann, Bench, bob, type OpenDatabase, root } from './bench.test-support.ts'
import type { SubmitRequest } from './requests.ts'

const refusal = (code: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof AppError, String(error))
  assert.equal(error.code, code)
  assert.match(error.message, message)
  return true
}

/** What is true of submitting, whatever keeps the records. */
export function describeSubmit(name: string, open: OpenDatabase): void {
  describe(`submitting on ${name}`, () => {
    let bench: Bench
    beforeEach(async () => {
      bench = await Bench.open(open)
    })
    afterEach(() => bench.close())
    const get = () => bench
    testRecord(get)
    testSubjects(get)
    testIdempotency(get)
    testAccounts(get)
    testRequests(get)
  })
}

type Get = () => Bench

function testRecord(bench: Get): void {
  test('an operation is in the records with its first event when submit resolves', async () => {
    const { jobs, ...rest } = bench()
    const source = await bench().addSource('photos')
    const operation = await jobs.submit(ann, { kind: 'backup', sourceId: source, priority: 70 })
    assert.equal(operation.status, 'pending')
    assert.equal(operation.statusReason, 'waiting for a worker')
    assert.deepEqual(operation.subjects, ['source:photos'])
    assert.equal(operation.poolId, 'local')
    assert.deepEqual(await jobs.get(ann, operation.id), operation)
    const [event] = await bench().events(operation.id)
    assert.equal(event?.type, 'submitted')
    assert.deepEqual([event?.accountId, event?.data['by']], ['ann', 'Ann'])
    assert.ok(rest)
  })

  test('a task that can never work is refused and leaves no record', async () => {
    const { jobs } = bench()
    const submitted = jobs.submit(ann, { kind: 'custom', input: { refuse: true } })
    await assert.rejects(submitted, refusal('invalid', /told to refuse/))
    assert.deepEqual((await jobs.list(ann, { limit: 10, cursor: null })).items, [])
  })

  test('lists newest first, by page, status and source', async () => {
    const { jobs } = bench()
    const source = await bench().addSource('photos')
    const ids: string[] = []
    for (let count = 0; count < 5; count += 1) {
      ids.unshift((await jobs.submit(ann, { kind: 'custom' })).id)
    }
    const backup = await jobs.submit(ann, { kind: 'backup', sourceId: source })
    const first = await jobs.list(ann, { kinds: ['custom'], limit: 3, cursor: null })
    const second = await jobs.list(ann, { kinds: ['custom'], limit: 3, cursor: first.nextCursor })
    assert.deepEqual(
      [...first.items, ...second.items].map(({ id }) => id),
      ids,
    )
    assert.equal(second.nextCursor, null)
    const ofSource = await jobs.list(ann, { sourceId: source, limit: 10, cursor: null })
    assert.deepEqual(
      ofSource.items.map(({ id }) => id),
      [backup.id],
    )
    const running = await jobs.list(ann, { statuses: ['running'], limit: 10, cursor: null })
    assert.deepEqual(running.items, [])
    assert.equal((await jobs.live(ann)).length, 6)
  })
}

function testSubjects(bench: Get): void {
  test('of 20 submissions at once for one subject one wins and 19 are told which', async () => {
    const source = await bench().addSource('photos')
    const other = bench().newJobs()
    const all = await Promise.allSettled(
      Array.from({ length: 20 }, (_, index) =>
        (index % 2 === 0 ? bench().jobs : other).submit(ann, { kind: 'backup', sourceId: source }),
      ),
    )
    const won = all.filter((one) => one.status === 'fulfilled').map((one) => one.value)
    assert.equal(won.length, 1)
    const winner = won[0] as Operation
    for (const one of all) {
      if (one.status === 'rejected') {
        refusal('conflict', new RegExp(`operation ${winner.id} holds it`))(one.reason)
        assert.equal(one.reason.details.operationId, winner.id)
      }
    }
    const { items } = await bench().jobs.list(ann, { limit: 100, cursor: null })
    assert.equal(items.length, 1, 'the refused ones left records')
  })

  test('of a folder and one within it only one is held at a time, also by two processes', async () => {
    const { jobs } = bench()
    const other = bench().newJobs()
    const hold = (subject: string, by = jobs) =>
      by.submit(ann, { kind: 'custom', input: { subject } })
    const first = await hold('path:/t/real')
    for (const subject of ['path:/t/real', 'path:/t/real/inner/x', 'path:/t', 'path:/']) {
      await assert.rejects(
        hold(subject, other),
        refusal('conflict', new RegExp(`path:/t/real is busy: operation ${first.id} holds it`)),
        subject,
      )
    }
    for (const subject of [
      'path:/t/real2',
      'path:/t/rea',
      'path:/t/r%',
      'path:/u/t/real',
      'x:/t',
    ]) {
      await jobs.cancel(ann, (await hold(subject)).id)
    }
    await jobs.cancel(ann, first.id)
    const paths = Array.from({ length: 12 }, (_, depth) => `path:/a${'/b'.repeat(depth)}`)
    const all = await Promise.allSettled(
      paths.map((subject, index) => hold(subject, index % 2 === 0 ? jobs : other)),
    )
    assert.equal(all.filter(({ status }) => status === 'fulfilled').length, 1)
  })

  test('a subject is free again when the operation that held it has ended', async () => {
    const { jobs } = bench()
    const source = await bench().addSource('photos')
    const first = await jobs.submit(ann, { kind: 'backup', sourceId: source })
    await jobs.cancel(ann, first.id)
    assert.deepEqual(await bench().holds(), [])
    await jobs.submit(ann, { kind: 'backup', sourceId: source })
  })
}

function testIdempotency(bench: Get): void {
  test('the same key with the same request is one operation, also at the same time', async () => {
    const other = bench().newJobs()
    const request = { kind: 'custom', idempotencyKey: 'k1', input: { a: 1, b: 2 } } as const
    const again = { ...request, input: { b: 2, a: 1 } }
    const all = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        (index % 2 === 0 ? bench().jobs : other).submit(ann, index % 3 === 0 ? again : request),
      ),
    )
    assert.equal(new Set(all.map(({ id }) => id)).size, 1)
    const [first] = all as [Operation]
    assert.deepEqual(await bench().history(first.id), ['submitted'])
  })

  test('the same key with another request is refused, naming the first', async () => {
    const { jobs } = bench()
    const first = await jobs.submit(ann, { kind: 'custom', idempotencyKey: 'k1' })
    const second = jobs.submit(ann, { kind: 'custom', idempotencyKey: 'k1', priority: 3 })
    await assert.rejects(second, refusal('conflict', new RegExp(first.id)))
  })

  test('the same key of another account is another operation', async () => {
    const { jobs } = bench()
    const first = await jobs.submit(ann, { kind: 'custom', idempotencyKey: 'k1' })
    const second = await jobs.submit(bob, { kind: 'custom', idempotencyKey: 'k1' })
    assert.notEqual(first.id, second.id)
  })

  test('a repeated submission is answered also when its source is gone meanwhile', async () => {
    const { jobs, database } = bench()
    const sourceId = await bench().addSource('photos')
    const request = { kind: 'backup', sourceId, idempotencyKey: 'k1' } as const
    const first = await jobs.submit(ann, request)
    await database.write((tx) => tx.sql.deleteFrom('sources').execute())
    assert.equal((await jobs.submit(ann, request)).id, first.id)
  })
}

function testAccounts(bench: Get): void {
  test("someone else's operation is not there, for whatever is asked of it", async () => {
    const { jobs } = bench()
    const { id } = await jobs.submit(ann, { kind: 'custom' })
    const notThere = refusal('not_found', new RegExp(`no operation ${id}`))
    await assert.rejects(jobs.get(bob, id), notThere)
    await assert.rejects(jobs.pause(bob, id), notThere)
    await assert.rejects(jobs.cancel(bob, id), notThere)
    await assert.rejects(jobs.retry(bob, id), notThere)
    await assert.rejects(jobs.events(bob, id, { sinceSequence: 0, limit: 1 }), notThere)
    await assert.rejects(jobs.waitForEnd(bob, id, { timeoutMs: 1 }), notThere)
    await assert.rejects(jobs.warnings(bob, id, { after: 0, limit: 1 }), notThere)
    const asked = { limit: 10, cursor: null, accountId: 'ann' }
    assert.deepEqual((await jobs.list(bob, asked)).items, [])
    assert.deepEqual(await jobs.live(bob), [])
    assert.equal((await jobs.list(root, asked)).items.length, 1)
  })

  test("someone else's source cannot be backed up, except by an administrator for its owner", async () => {
    const { jobs } = bench()
    const sourceId = await bench().addSource('photos')
    const byBob = jobs.submit(bob, { kind: 'backup', sourceId })
    await assert.rejects(byBob, refusal('not_found', /no source photos/))
    const byRoot = await jobs.submit(root, { kind: 'backup', sourceId })
    assert.equal(byRoot.accountId, 'ann')
  })

  test("someone else's pool is not there", async () => {
    const { jobs, database } = bench()
    const sourceId = await bench().addSource('photos')
    const pool = { id: 'bobs', account_id: 'bob', name: 'b', kind: 'local', config: '{}' }
    await database.write((tx) =>
      tx.sql
        .insertInto('pools')
        .values({ ...pool, created_at_ms: 1 })
        .execute(),
    )
    const submitted = jobs.submit(ann, { kind: 'backup', sourceId, poolId: 'bobs' })
    await assert.rejects(submitted, refusal('not_found', /no pool bobs/))
  })
}

function testRequests(bench: Get): void {
  test('what is wrong with a request is said in a sentence', async () => {
    const { jobs } = bench()
    const wrong = (request: object, message: RegExp, code = 'invalid') =>
      assert.rejects(jobs.submit(ann, { kind: 'custom', ...request }), refusal(code, message))
    await wrong({ kind: 'nonsense' }, /no kind of operation: "nonsense"; take one of backup/)
    await wrong({ priority: 101 }, /from 0 to 100, not 101/)
    await wrong({ id: 'me' }, /is a uuid, not "me"/)
    await wrong({ idempotencyKey: '' }, /1 to 255 characters/)
    await wrong({ input: { snapshotId: 5 } }, /the id of a snapshot/)
    await wrong({ snapshotId: 'a', input: { snapshotId: 'b' } }, /name one snapshot/)
    await wrong({ snapshotId: 'none' }, /no snapshot none/, 'not_found')
    await wrong({ sourceId: 'none' }, /no source none/, 'not_found')
    await wrong({ kind: 'prune' }, /cannot do prune yet; it does: backup:directory/)
    await wrong({ kind: 'backup' }, /^sourceId is missing/)
    const paths = { paths: Array.from({ length: 7_000 }, (_, index) => `p${index}-ü`) }
    await wrong({ input: paths }, /input has \d{5} bytes as JSON and may have 65536/, 'too_large')
    const nested = (levels: number): object =>
      JSON.parse(`${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`)
    await wrong({ input: nested(21) }, /deeper than 20 levels/)
    await wrong({ input: nested(100_000) }, /deeper than 20 levels/)
    await jobs.submit(ann, { kind: 'custom', input: nested(20) } as SubmitRequest)
  })

  test('a kind of source that no engine knows is named plainly', async () => {
    const { jobs, database } = bench()
    const sourceId = await bench().addSource('shop')
    await database.write((tx) => tx.sql.updateTable('sources').set({ kind: 'mysql' }).execute())
    await assert.rejects(
      jobs.submit(ann, { kind: 'backup', sourceId }),
      refusal('invalid', /^this server cannot back up mysql sources yet/),
    )
  })

  test('an id that a face has chosen is taken, and refused when it is given again', async () => {
    const { jobs } = bench()
    const id = '11111111-2222-4333-8444-555555555555'
    assert.equal((await jobs.submit(ann, { kind: 'custom', id })).id, id)
    await assert.rejects(jobs.submit(ann, { kind: 'custom', id }), refusal('conflict', /already/))
  })
}
