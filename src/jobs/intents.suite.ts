import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { AppError } from '../core/errors.ts'
import { ann, assertOneEnd, Bench, gateAt, type OpenDatabase } from './bench.test-support.ts'

/** What is true of pausing, resuming and cancelling, whatever keeps the records. */
export function describeIntents(name: string, open: OpenDatabase): void {
  describe(`asking on ${name}`, () => {
    let bench: Bench
    beforeEach(async () => {
      bench = await Bench.open(open)
    })
    afterEach(() => bench.close())
    const get = () => bench
    testWaiting(get)
    testRunning(get)
    testRaces(get)
  })
}

type Get = () => Bench

const conflict = (status: string) => (error: unknown) => {
  assert.ok(error instanceof AppError, String(error))
  assert.equal(error.code, 'conflict')
  assert.match(error.message, new RegExp(status))
  return true
}

function testWaiting(bench: Get): void {
  test('what waits is paused, resumed and cancelled at once', async () => {
    const { jobs } = bench()
    const { id } = await jobs.submit(ann, { kind: 'custom' })
    const paused = await jobs.pause(ann, id)
    assert.deepEqual([paused.status, paused.statusReason], ['paused', 'paused by Ann'])
    await assert.rejects(jobs.pause(ann, id), conflict('a paused operation'))
    const resumed = await jobs.resume(ann, id)
    assert.deepEqual(
      [resumed.status, resumed.statusReason],
      ['pending', 'resumed by Ann; waiting for a worker'],
    )
    await assert.rejects(jobs.resume(ann, id), conflict('a pending operation'))
    await assert.rejects(jobs.retry(ann, id), conflict('a pending operation'))
    const cancelled = await jobs.cancel(ann, id)
    assert.deepEqual([cancelled.status, cancelled.statusReason], ['cancelled', 'cancelled by Ann'])
    for (const ask of ['pause', 'resume', 'cancel'] as const) {
      await assert.rejects(jobs[ask](ann, id), conflict('a cancelled operation'))
    }
    assert.deepEqual(await bench().history(id), ['submitted', 'paused', 'resumed', 'cancelled'])
  })

  test('what is paused does not run until it is resumed', async () => {
    const { jobs } = bench()
    const { id } = await jobs.submit(ann, { kind: 'custom' })
    await jobs.pause(ann, id)
    await bench().startWorker()
    const other = await jobs.submit(ann, { kind: 'custom' })
    await bench().end(other.id)
    assert.equal((await jobs.get(ann, id)).status, 'paused')
    await jobs.resume(ann, id)
    assert.equal((await bench().end(id)).status, 'completed')
  })
}

function testRunning(bench: Get): void {
  test('what runs keeps the intent on record until it is honoured, and leaves a checkpoint', async () => {
    const { jobs } = bench()
    await bench().startWorker()
    const gate = gateAt(bench(), 3)
    const { id } = await jobs.submit(ann, { kind: 'custom', input: { stepMs: 1 } })
    await gate.reached
    const asked = await jobs.pause(ann, id)
    assert.deepEqual([asked.status, asked.intent], ['running', 'pause'])
    assert.equal(asked.statusReason, 'pausing, as asked by Ann')
    assert.equal((await jobs.pause(ann, id)).intent, 'pause', 'asking twice is asking once')
    gate.open()
    const paused = await bench().until(id, 'paused')
    assert.deepEqual([paused.intent, paused.checkpoint?.['done']], [null, 4])
    const { ratePerSecond, secondsLeft } = paused.progress
    assert.deepEqual([ratePerSecond, secondsLeft], [null, null])
    assert.deepEqual(await bench().history(id), ['submitted', 'started', 'intent', 'paused'])
    const cancelled = await jobs.cancel(ann, id)
    assert.equal(cancelled.status, 'cancelled')
    while ((await bench().holds()).length > 0)
      await new Promise((resolve) => setTimeout(resolve, 5))
    assert.deepEqual(await bench().files('.part'), [], 'removed after it was cancelled')
  })

  test('a cancel outdoes a pause that was asked before, and not the other way round', async () => {
    const { jobs } = bench()
    await bench().startWorker()
    const gate = gateAt(bench(), 3)
    const { id } = await jobs.submit(ann, { kind: 'custom', input: { stepMs: 1 } })
    await gate.reached
    await jobs.pause(ann, id)
    await jobs.cancel(ann, id)
    await assert.rejects(jobs.pause(ann, id), conflict('is being cancelled'))
    gate.open()
    assert.equal((await bench().end(id)).statusReason, 'cancelled by Ann')
    assert.deepEqual(await bench().files('.part'), [])
    await assertOneEnd(bench(), id)
  })

  test('an engine that does not stop in time is given up, and its files are left alone', async () => {
    const { jobs, hooks } = bench()
    await bench().startWorker({ engineStopMs: 50 })
    const ended: boolean[] = []
    hooks.onRun = (_task, context) => void ended.push(context.predecessorEnded)
    const gate = gateAt(bench(), 2)
    const { id } = await jobs.submit(ann, { kind: 'custom', input: { ignoresStop: true } })
    await gate.reached
    await jobs.pause(ann, id)
    const paused = await bench().until(id, 'paused')
    assert.equal(paused.statusReason, 'paused by Ann')
    hooks.onStep = () => undefined
    await jobs.resume(ann, id)
    const done = await bench().end(id)
    assert.deepEqual([done.status, done.attempt], ['completed', 2])
    assert.deepEqual(ended, [true, false], 'the second run must not take the files of the first')
    gate.open()
    await assertOneEnd(bench(), id)
  })
}

function testRaces(bench: Get): void {
  test('a cancel or pause that meets the completion leaves exactly one end', async () => {
    const { jobs, hooks } = bench()
    await bench().startWorker({ concurrency: 4 })
    const ids: string[] = []
    const asks: Promise<unknown>[] = []
    hooks.onPublished = ({ operationId, input }) => {
      const ask = input['ask'] === 'pause' ? 'pause' : 'cancel'
      const later = async () => {
        for (let turn = 0; turn < Number(input['turns']); turn += 1) {
          await new Promise((resolve) => setImmediate(resolve))
        }
        await jobs[ask](ann, operationId)
      }
      asks.push(later().catch(conflict('.')))
    }
    for (let turns = 0; turns < 24; turns += 1) {
      const ask = turns % 2 === 0 ? 'pause' : 'cancel'
      const input = { count: 2, stepMs: 1, ask, turns: Math.floor(turns / 2) }
      ids.push((await jobs.submit(ann, { kind: 'custom', input })).id)
    }
    for (const id of ids) {
      assert.equal((await bench().end(id)).status, 'completed')
      await assertOneEnd(bench(), id)
    }
    await Promise.all(asks)
  })

  test('cancels at any moment of the life leave exactly one end and nothing behind', async () => {
    const { jobs } = bench()
    await bench().startWorker({ concurrency: 4 })
    const ids: string[] = []
    for (let waitMs = 0; waitMs < 24; waitMs += 1) {
      const input = { count: 4, stepMs: 2 }
      const { id } = await jobs.submit(ann, { kind: 'custom', input })
      ids.push(id)
      await new Promise((resolve) => setTimeout(resolve, waitMs / 2))
      await jobs.cancel(ann, id).catch(conflict('completed'))
    }
    for (const id of ids) {
      await bench().end(id)
      await assertOneEnd(bench(), id)
    }
    while ((await bench().holds()).length > 0)
      await new Promise((resolve) => setTimeout(resolve, 5))
    assert.deepEqual(await bench().files('.part'), [])
  })
}
