import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { sql } from 'kysely'
import { type AuditEntry, listAudit } from '../store/audit.ts'
import { ann, Bench, gateAt, type OpenDatabase, root } from './bench.test-support.ts'

/** What is true of the audit trail of operations, whatever keeps the records. */
export function describeAudit(name: string, open: OpenDatabase): void {
  describe(`the audit trail on ${name}`, () => {
    let bench: Bench
    beforeEach(async () => {
      bench = await Bench.open(open)
    })
    afterEach(() => bench.close())
    const get = () => bench
    testLines(get)
    testCommit(get)
  })
}

type Get = () => Bench

/** Oldest first. */
async function linesAbout({ database }: Bench, topicId?: string): Promise<readonly AuditEntry[]> {
  const about = topicId === undefined ? {} : { topicId }
  const page = await listAudit(database.sql, {
    accountId: null,
    limit: 500,
    cursor: null,
    ...about,
  })
  return page.items.toReversed()
}

const actionsOf = (lines: readonly AuditEntry[]) => lines.map(({ action }) => action).sort()

function testLines(bench: Get): void {
  test('each ask leaves one line that says who, what and of whose account', async () => {
    const { jobs } = bench()
    const sourceId = await bench().addSource('photos')
    const byToken = { ...root, tokenId: 't1' }
    const { id } = await jobs.submit(ann, { kind: 'backup', sourceId })
    await jobs.pause(ann, id)
    await jobs.resume(ann, id)
    await jobs.cancel(byToken, id)
    const lines = await linesAbout(bench(), id)
    assert.deepEqual(actionsOf(lines), [
      'operation.cancel',
      'operation.pause',
      'operation.resume',
      'operation.submit',
    ])
    assert.ok(lines.every(({ accountId, topic }) => accountId === 'ann' && topic === 'operation'))
    const submitted = lines.find(({ action }) => action === 'operation.submit')
    assert.equal(submitted?.actor, 'Ann')
    assert.deepEqual(submitted.data, { kind: 'backup', sourceId, snapshotId: null, retryOf: null })
    const cancelled = lines.find(({ action }) => action === 'operation.cancel')
    assert.equal(cancelled?.actor, 'Root (token t1)')
    const again = await jobs.retry(ann, id)
    const [retried, ...others] = await linesAbout(bench(), again.id)
    assert.deepEqual([retried?.action, retried?.data['retryOf']], ['operation.submit', id])
    assert.deepEqual(others, [])
  })

  test('an ask that is kept for a running operation is told when it is asked, and once', async () => {
    const { jobs } = bench()
    await bench().startWorker()
    const gate = gateAt(bench(), 2)
    const { id } = await jobs.submit(ann, { kind: 'custom', input: { stepMs: 1 } })
    await gate.reached
    await jobs.pause(ann, id)
    await jobs.pause(ann, id)
    const asked = ['operation.pause', 'operation.submit']
    assert.deepEqual(actionsOf(await linesAbout(bench(), id)), asked)
    gate.open()
    await bench().until(id, 'paused')
    assert.deepEqual(actionsOf(await linesAbout(bench(), id)), asked)
  })
}

function testCommit(bench: Get): void {
  test('what is refused, and what was submitted already, leaves no line', async () => {
    const { jobs } = bench()
    const sourceId = await bench().addSource('photos')
    const request = { kind: 'backup', sourceId, idempotencyKey: 'k1' } as const
    const { id } = await jobs.submit(ann, request)
    await Promise.all([jobs.submit(ann, request), jobs.submit(ann, request)])
    await assert.rejects(jobs.submit(ann, { kind: 'backup', sourceId }), { code: 'conflict' })
    await assert.rejects(jobs.resume(ann, id), { code: 'conflict' })
    await assert.rejects(jobs.retry(ann, id), { code: 'conflict' })
    assert.deepEqual(actionsOf(await linesAbout(bench())), ['operation.submit'])
  })

  test('what cannot be told to the trail does not happen', async () => {
    const { jobs, database } = bench()
    const { id } = await jobs.submit(ann, { kind: 'custom' })
    const rename = (from: string, to: string) =>
      database.write(async (tx) => {
        await sql`alter table ${sql.table(from)} rename to ${sql.table(to)}`.execute(tx.sql)
      })
    await rename('audit', 'audit_away')
    await assert.rejects(jobs.submit(ann, { kind: 'custom' }), /audit/)
    await assert.rejects(jobs.cancel(ann, id), /audit/)
    await rename('audit_away', 'audit')
    const { items } = await jobs.list(ann, { limit: 10, cursor: null })
    assert.deepEqual(
      items.map((operation) => [operation.id, operation.status]),
      [[id, 'pending']],
    )
    assert.deepEqual(await bench().history(id), ['submitted'])
  })
}
