import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { WARNINGS_KEPT_MAX } from '../core/outcome.ts'
import type { Progress } from '../core/progress.ts'
import { findSnapshot } from '../store/snapshots.ts'
import { ann, assertOneEnd, Bench, gateAt, type OpenDatabase } from './bench.test-support.ts'
import { STEP_BYTES } from './counting-engine.test-support.ts'

/** What is true of running, whatever keeps the records. */
export function describeRuns(name: string, open: OpenDatabase): void {
  describe(`running on ${name}`, () => {
    let bench: Bench
    beforeEach(async () => {
      bench = await Bench.open(open)
    })
    afterEach(() => bench.close())
    const get = () => bench
    testEnds(get)
    testOrder(get)
    testReports(get)
    testDiscard(get)
  })
}

type Get = () => Bench

function testEnds(bench: Get): void {
  test('a backup that completes leaves result, snapshot, full progress and one end', async () => {
    const { jobs, database } = bench()
    const sourceId = await bench().addSource('photos')
    await bench().startWorker()
    const { id } = await jobs.submit(ann, { kind: 'backup', sourceId, input: { count: 4 } })
    const ended = await bench().end(id)
    assert.deepEqual([ended.status, ended.outcome], ['completed', 'success'])
    assert.equal(ended.statusReason, 'completed')
    assert.equal(ended.result?.['steps'], 4)
    assert.deepEqual([ended.progress.percent, ended.progress.bytesDone], [100, 4 * STEP_BYTES])
    assert.deepEqual([ended.checkpoint, ended.workerId, ended.attempt], [null, null, 1])
    const snapshot = await findSnapshot(database.sql, ended.snapshotId ?? '')
    assert.deepEqual(
      [snapshot?.operationId, snapshot?.sourceId, snapshot?.accountId, snapshot?.poolId],
      [id, 'photos', 'ann', 'local'],
    )
    assert.deepEqual(await bench().history(id), ['submitted', 'started', 'completed'])
    assert.deepEqual(await bench().holds(), [])
    assert.deepEqual(await bench().files('.done'), [`${id}-1.done`])
  })

  test('a verify marks its snapshot; damage found is a warning and no failure', async () => {
    const { jobs, database } = bench()
    const sourceId = await bench().addSource('photos')
    await bench().startWorker()
    const backup = await jobs.submit(ann, { kind: 'backup', sourceId })
    const { snapshotId } = await bench().end(backup.id)
    assert.ok(snapshotId !== null)
    const good = await jobs.submit(ann, { kind: 'verify', input: { snapshotId } })
    assert.deepEqual([good.snapshotId, good.sourceId], [snapshotId, sourceId])
    assert.equal((await bench().end(good.id)).outcome, 'success')
    assert.equal((await findSnapshot(database.sql, snapshotId))?.verifiedWell, true)
    const bad = await jobs.submit(ann, { kind: 'verify', snapshotId, input: { well: false } })
    const ended = await bench().end(bad.id)
    assert.deepEqual([ended.status, ended.outcome], ['completed', 'warning'])
    assert.match(ended.statusReason, /damaged/)
    assert.equal((await findSnapshot(database.sql, snapshotId))?.verifiedWell, false)
  })

  test('a failure is kept with its sentence, and the message of a bug is not shown', async () => {
    const { jobs, hooks } = bench()
    await bench().startWorker()
    const told = await jobs.submit(ann, { kind: 'custom', input: { failAtStep: 2 } })
    const failed = await bench().end(told.id)
    assert.deepEqual([failed.status, failed.failure?.code], ['failed', 'damaged'])
    assert.equal(failed.statusReason, 'failed: told to fail at step 2')
    hooks.onStep = () => {
      throw new TypeError('secret of the house')
    }
    const buggy = await bench().end((await jobs.submit(ann, { kind: 'custom' })).id)
    assert.equal(buggy.failure?.code, 'internal')
    assert.doesNotMatch(JSON.stringify(buggy), /secret/)
    const retried = await jobs.retry(ann, told.id)
    assert.deepEqual([retried.retryOf, retried.input], [told.id, told.input])
    await bench().end(retried.id)
    await assertOneEnd(bench(), told.id)
  })

  test('what an engine answers that cannot be recorded ends as a failure, not as a hang', async () => {
    const { jobs } = bench()
    const sourceId = await bench().addSource('photos')
    await bench().startWorker()
    const { id } = await jobs.submit(ann, { kind: 'backup', sourceId, input: { badKey: true } })
    const ended = await bench().end(id)
    assert.deepEqual([ended.status, ended.failure?.code], ['failed', 'internal'])
    assert.deepEqual(await bench().history(id), ['submitted', 'started', 'failed'])
  })
}

function testOrder(bench: Get): void {
  test('the higher priority runs first, and among equals the older', async () => {
    const { jobs, hooks } = bench()
    const order: string[] = []
    hooks.onRun = (task) => void order.push(String(task.input['name']))
    const ids: string[] = []
    for (const [name, priority] of [
      ['a', 50],
      ['b', 10],
      ['c', 90],
      ['d', 50],
    ] as const) {
      ids.push((await jobs.submit(ann, { kind: 'custom', priority, input: { name } })).id)
    }
    await bench().startWorker({ concurrency: 1 })
    for (const id of ids) await bench().end(id)
    assert.deepEqual(order, ['c', 'a', 'd', 'b'])
  })

  test('no more run at once than the limits allow, in all and of one kind', async () => {
    const { jobs, hooks } = bench()
    const running = { custom: 0, backup: 0 }
    const most = { custom: 0, backup: 0, all: 0 }
    hooks.onRun = ({ kind }) => {
      running[kind as 'custom'] += 1
      most[kind as 'custom'] = Math.max(most[kind as 'custom'], running[kind as 'custom'])
      most.all = Math.max(most.all, running.custom + running.backup)
    }
    hooks.onPublished = ({ kind }) => {
      running[kind as 'custom'] -= 1
    }
    const ids: string[] = []
    for (let count = 0; count < 5; count += 1) {
      const sourceId = await bench().addSource(`s${count}`)
      const input = { count: 3, stepMs: 3 }
      ids.push((await jobs.submit(ann, { kind: 'backup', sourceId, input })).id)
      ids.push((await jobs.submit(ann, { kind: 'custom', input })).id)
    }
    await bench().startWorker({ concurrency: 3, concurrencyByKind: { backup: 1 } })
    for (const id of ids) assert.equal((await bench().end(id)).status, 'completed')
    assert.deepEqual([most.backup, most.all], [1, 3])
  })
}

function testReports(bench: Get): void {
  test('progress is heard as it happens, never falls, and is 100 only in the end', async () => {
    const { jobs } = bench()
    await bench().startWorker()
    const heard: Progress[] = []
    const stopListening = jobs.onProgress((news) => {
      heard.push(news.progress)
      throw new Error('a listener that throws slows nobody')
    })
    const input = { count: 20, stepMs: 20 }
    const { id } = await jobs.submit(ann, { kind: 'custom', input })
    const ended = await bench().end(id)
    stopListening()
    assert.equal(ended.status, 'completed')
    assert.ok(heard.length >= 2, `heard ${heard.length} times`)
    assert.ok(heard.length <= 12, `heard ${heard.length} times in about half a second`)
    for (const [index, progress] of heard.entries()) {
      assert.ok(progress.bytesDone >= (heard[index - 1]?.bytesDone ?? 0))
      assert.ok((progress.percent ?? 0) < 100)
    }
  })

  test('the phases are in the history in their order, before the end', async () => {
    const { jobs } = bench()
    await bench().startWorker()
    const { id } = await jobs.submit(ann, { kind: 'custom', input: { count: 4, stepMs: 1 } })
    await bench().end(id)
    const events = await jobs.events(ann, id, { sinceSequence: 0, limit: 100 })
    const told = events.map(({ type, data }) => (type === 'phase' ? data['phase'] : type))
    assert.deepEqual(told, ['submitted', 'started', 'first half', 'second half', 'completed'])
  })

  test('warnings are kept up to the limit, counted beyond it, and are in the outcome', async () => {
    const { jobs } = bench()
    await bench().startWorker()
    const count = WARNINGS_KEPT_MAX + 25
    const input = { count, warnEvery: 1, checkpointEvery: count + 1 }
    const { id } = await jobs.submit(ann, { kind: 'custom', input })
    const ended = await bench().end(id)
    assert.equal(ended.outcome, 'warning')
    assert.equal(ended.statusReason, `completed with ${count} warnings`)
    const first = await jobs.warnings(ann, id, { after: 0, limit: 600 })
    const rest = await jobs.warnings(ann, id, { after: first.nextAfter ?? 0, limit: 600 })
    assert.deepEqual([first.items.length, rest.items.length], [600, 400])
    assert.deepEqual([first.total, rest.nextAfter], [count, null])
    assert.equal(rest.items.at(-1)?.item, String(WARNINGS_KEPT_MAX))
  })

  test('a run that goes on says no warning twice and says what it did not do again', async () => {
    const { jobs } = bench()
    await bench().startWorker()
    const gate = gateAt(bench(), 5)
    const input = { count: 8, warnEvery: 1, stepMs: 1, checkpointEvery: 2 }
    const { id } = await jobs.submit(ann, { kind: 'custom', input })
    await gate.reached
    await jobs.pause(ann, id)
    gate.open()
    const paused = await bench().until(id, 'paused')
    assert.equal(paused.statusReason, 'paused by Ann')
    await jobs.resume(ann, id)
    const ended = await bench().end(id)
    assert.deepEqual([ended.attempt, ended.resumedCount], [2, 1])
    assert.equal(ended.bytesNotRedone, 6 * STEP_BYTES)
    assert.match(
      ended.statusReason,
      /completed with 8 warnings; resumed once, 600 B not done again/,
    )
    const { items } = await jobs.warnings(ann, id, { after: 0, limit: 100 })
    assert.deepEqual(
      items.map(({ item }) => item),
      ['1', '2', '3', '4', '5', '6', '7', '8'],
    )
  })
}

function testDiscard(bench: Get): void {
  test('what a failed run left is removed before the failure is told', async () => {
    const { jobs } = bench()
    await bench().startWorker()
    const { id } = await jobs.submit(ann, { kind: 'custom', input: { failAtStep: 3 } })
    await bench().end(id)
    assert.deepEqual(await bench().files('.part'), [])
    assert.deepEqual(await bench().holds(), [])
  })

  test('a removal that fails is remembered with the end and tried until it succeeds', async () => {
    const { jobs, hooks } = bench()
    let failures = 0
    hooks.onDiscard = () => {
      failures += 1
      if (failures <= 2) throw new Error('the pool is away')
    }
    await bench().startWorker()
    const { id } = await jobs.submit(ann, { kind: 'custom', input: { failAtStep: 3 } })
    assert.equal((await bench().end(id)).status, 'failed')
    assert.deepEqual(await bench().holds(), [`discard:${id}`])
    assert.equal((await bench().files('.part')).length, 1)
    while ((await bench().holds()).length > 0) {
      bench().jobs.room.wake('work', id)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    assert.deepEqual(await bench().files('.part'), [])
  })
}
