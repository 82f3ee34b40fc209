import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { JsonObject } from '../core/json.ts'
import type { Operation } from '../core/operation.ts'
import { StopRequest } from '../engines/engine.ts'
import { type Clock, systemClock } from '../platform/clock.ts'
import { claimNext, type RunKey, saveCheckpoint } from '../store/operations.ts'
import { endWorker, insertWorker } from '../store/workers.ts'
import { ann, assertOneEnd, Bench, gateAt, type OpenDatabase } from './bench.test-support.ts'
import { STEP_BYTES } from './counting-engine.test-support.ts'
import { Recovery } from './recovery.ts'
import { LOST_RUNS_MAX, settleRun } from './settle.ts'
import { Worker } from './worker.ts'

/** What is true of stopping, vanishing and coming back, whatever keeps the records. */
export function describeRecovery(name: string, open: OpenDatabase): void {
  describe(`recovering on ${name}`, () => {
    let bench: Bench
    const clock = new SettableClock()
    beforeEach(async () => {
      clock.setBackMs = 0
      bench = await Bench.open(open, clock)
    })
    afterEach(() => bench.close())
    const get = () => bench
    testDrain(get)
    testVanished(get)
    testLostRuns(get)
    testFenced(get)
    testClock(get, clock)
  })
}

type Get = () => Bench

class SettableClock implements Clock {
  setBackMs = 0
  nowMs = (): number => systemClock.nowMs() - this.setBackMs
  monotonicMs = (): number => systemClock.monotonicMs()
}

function testDrain(bench: Get): void {
  test('a drain leaves a checkpoint, and the next worker goes on from it', async () => {
    const { jobs, hooks } = bench()
    const worker = await bench().startWorker()
    const gate = gateAt(bench(), 4)
    const input = { count: 8, stepMs: 1, checkpointEvery: 100 }
    const { id } = await jobs.submit(ann, { kind: 'custom', input })
    await gate.reached
    const drained = worker.drain()
    gate.open()
    await drained
    const waiting = await jobs.get(ann, id)
    assert.deepEqual([waiting.status, waiting.workerId], ['pending', null])
    assert.equal(waiting.statusReason, 'the server is stopping; waiting to resume')
    assert.equal(waiting.checkpoint?.['done'], 5)
    const ended: boolean[] = []
    hooks.onRun = (_task, context) => void ended.push(context.predecessorEnded)
    await bench().startWorker()
    const done = await bench().end(id)
    assert.deepEqual([done.status, done.bytesNotRedone], ['completed', 5 * STEP_BYTES])
    assert.deepEqual(ended, [true])
    const history = ['submitted', 'started', 'interrupted', 'started', 'completed']
    assert.deepEqual(await bench().history(id), history)
  })

  test('a drain does not wait for an engine that does not stop', async () => {
    const { jobs } = bench()
    const worker = await bench().startWorker({ engineStopMs: 50 })
    const gate = gateAt(bench(), 2)
    const { id } = await jobs.submit(ann, { kind: 'custom', input: { ignoresStop: true } })
    await gate.reached
    await worker.drain()
    assert.equal((await jobs.get(ann, id)).status, 'pending')
    gate.open()
  })

  test('a drained worker claims nothing more', async () => {
    const { jobs } = bench()
    const worker = await bench().startWorker()
    await worker.drain()
    const { id } = await jobs.submit(ann, { kind: 'custom' })
    const waited = await jobs.waitForEnd(ann, id, { timeoutMs: 30 })
    assert.equal(waited.status, 'pending')
  })
}

/** Makes a run whose worker is on record and will never beat. */
async function vanishedRun(bench: Bench, input = {}): Promise<string> {
  const { id } = await bench.jobs.submit(ann, { kind: 'custom', input: { count: 6, ...input } })
  await bench.database.write(async (tx) => {
    const worker = { host: 'elsewhere', pid: 1, bootId: 'other', beat: 3, startedAtMs: 1 }
    await insertWorker(tx, { id: `worker-of-${id}`, ...worker })
    await tx.sql
      .updateTable('operations')
      .set({ status: 'running', attempt: 1, worker_id: `worker-of-${id}`, started_at_ms: 1 })
      .where('id', '=', id)
      .execute()
  })
  return id
}

function testVanished(bench: Get): void {
  test('a start takes over what earlier processes ran, and knows that they are gone', async () => {
    const { hooks } = bench()
    const id = await vanishedRun(bench())
    const ended: boolean[] = []
    hooks.onRun = (_task, context) => void ended.push(context.predecessorEnded)
    await bench().startWorker({ isAlone: true })
    const done = await bench().end(id)
    assert.deepEqual([done.status, done.attempt], ['completed', 2])
    assert.deepEqual(ended, [true])
    const [, interrupted] = await bench().events(id)
    assert.equal(
      interrupted?.data['statusReason'],
      'the server ended without warning; waiting to start again',
    )
  })

  test('a worker whose beat stands still is noticed, and its run is taken with caution', async () => {
    const { hooks, jobs } = bench()
    const id = await vanishedRun(bench())
    const ended: boolean[] = []
    hooks.onRun = (_task, context) => void ended.push(context.predecessorEnded)
    await bench().startWorker({ isAlone: false, vanishedAfterMs: 500 })
    assert.equal((await jobs.get(ann, id)).status, 'running', 'not before its time')
    const done = await bench().end(id)
    assert.deepEqual([done.status, done.attempt], ['completed', 2])
    assert.deepEqual(ended, [false], 'another machine: nobody knows whether it has ended')
    const interrupted = (await bench().events(id)).find(({ type }) => type === 'interrupted')
    assert.equal(interrupted?.data['statusReason'], 'the worker vanished; waiting to start again')
  })

  test('a pause and a cancel that were asked of a vanished worker are honoured', async () => {
    const { jobs, hooks } = bench()
    const discarded: string[] = []
    hooks.onDiscard = (task) => void discarded.push(task.operationId)
    const paused = await vanishedRun(bench())
    const cancelled = await vanishedRun(bench())
    await jobs.pause(ann, paused)
    await jobs.cancel(ann, cancelled)
    await bench().startWorker({ isAlone: true })
    assert.equal((await jobs.get(ann, paused)).statusReason, 'paused by Ann')
    assert.equal((await jobs.get(ann, cancelled)).statusReason, 'cancelled by Ann')
    await assertOneEnd(bench(), cancelled)
    while ((await bench().holds()).length > 0)
      await new Promise((resolve) => setTimeout(resolve, 5))
    assert.deepEqual(discarded, [cancelled])
  })

  test('a removal that a crash cut off is done by the next start', async () => {
    const { jobs, hooks } = bench()
    hooks.onDiscard = () => {
      throw new Error('the pool is away')
    }
    const worker = await bench().startWorker()
    const { id } = await jobs.submit(ann, { kind: 'custom', input: { failAtStep: 2 } })
    await bench().end(id)
    await worker.drain()
    assert.equal((await bench().files('.part')).length, 1)
    delete hooks.onDiscard
    await bench().startWorker()
    while ((await bench().holds()).length > 0)
      await new Promise((resolve) => setTimeout(resolve, 5))
    assert.deepEqual(await bench().files('.part'), [])
  })
}

/** A run that begins, saves what it is given, and is lost with its worker. */
async function loseRun(bench: Bench, id: string, checkpoint?: JsonObject): Promise<Operation> {
  await beginRun(bench, id, checkpoint)
  await new Recovery(bench.jobs.room).recoverAll()
  return bench.jobs.get(ann, id)
}

async function beginRun(bench: Bench, id: string, checkpoint?: JsonObject): Promise<RunKey> {
  const { dialect } = bench.database
  const request = { dialect, workerId: 'w', statusReason: () => 'running', nowMs: 1, kindsFull: [] }
  const claim = await bench.database.write((tx) => claimNext(tx, request))
  assert.equal(claim?.operation.id, id)
  const run = { id, attempt: claim.operation.attempt }
  if (checkpoint !== undefined) {
    await bench.database.write((tx) => saveCheckpoint(tx, { ...run, checkpoint }))
  }
  return run
}

async function loseRuns(bench: Bench, id: string, count: number): Promise<Operation> {
  for (let lost = 1; lost < count; lost += 1) {
    const waiting = await loseRun(bench, id)
    assert.equal(waiting.status, 'pending', `after ${lost} more: ${waiting.statusReason}`)
  }
  return loseRun(bench, id)
}

function testLostRuns(bench: Get): void {
  test('an operation that loses its worker again and again fails in the end, as others do', async () => {
    const { jobs, hooks } = bench()
    const discarded: string[] = []
    hooks.onDiscard = (task) => void discarded.push(task.operationId)
    const { id } = await jobs.submit(ann, { kind: 'custom', input: { subject: 'path:/srv' } })
    const failed = await loseRuns(bench(), id, LOST_RUNS_MAX)
    assert.deepEqual([failed.status, failed.attempt], ['failed', LOST_RUNS_MAX])
    assert.equal(failed.failure?.code, 'internal')
    assert.match(
      failed.statusReason,
      /^failed: its worker vanished 10 times in a row without getting further; .* retry$/,
    )
    await assertOneEnd(bench(), id)
    assert.deepEqual(await bench().holds(), [`discard:${id}`], 'what it held, but for the removal')
    await bench().startWorker()
    while ((await bench().holds()).length > 0)
      await new Promise((resolve) => setTimeout(resolve, 5))
    assert.deepEqual(discarded, [id])
    const again = await jobs.retry(ann, id)
    assert.equal((await bench().end(again.id)).status, 'completed')
  })

  test('a checkpoint that is new begins the count anew, one that was there already does not', async () => {
    const { id } = await bench().jobs.submit(ann, { kind: 'custom' })
    await loseRuns(bench(), id, LOST_RUNS_MAX - 1)
    assert.equal((await loseRun(bench(), id, { done: 1 })).status, 'pending')
    await loseRuns(bench(), id, LOST_RUNS_MAX - 2)
    const failed = await loseRun(bench(), id, { done: 1 })
    assert.equal(failed.status, 'failed', 'saving the same again is getting no further')
  })

  test('orderly stops do not count, and a pause or cancel goes before the failure', async () => {
    const { jobs } = bench()
    const { id } = await jobs.submit(ann, { kind: 'custom' })
    await loseRuns(bench(), id, LOST_RUNS_MAX - 1)
    for (let stop = 0; stop < LOST_RUNS_MAX; stop += 1) {
      const end = { kind: 'stopped', reason: () => 'shutdown' } as const
      const ending = { end, batch: null, isDiscarded: false, mayStillRun: false }
      const stopped = await settleRun(jobs.room, await beginRun(bench(), id), ending)
      assert.equal(stopped?.status, 'pending')
    }
    await beginRun(bench(), id)
    await jobs.pause(ann, id)
    await new Recovery(jobs.room).recoverAll()
    assert.equal((await jobs.get(ann, id)).status, 'paused')
    await jobs.resume(ann, id)
    const failed = await loseRun(bench(), id)
    assert.match(failed.statusReason, /vanished 11 times in a row/)
    await assertOneEnd(bench(), id)
  })
}

function testFenced(bench: Get): void {
  test('a run that was taken over can write nothing more and publishes nothing', async () => {
    const { jobs, database, hooks } = bench()
    await bench().startWorker()
    const gate = gateAt(bench(), 3)
    const reasons: unknown[] = []
    hooks.onRun = (_task, { signal }) => {
      signal.addEventListener('abort', () => reasons.push(signal.reason))
    }
    const { id } = await jobs.submit(ann, { kind: 'custom', input: { checkpointEvery: 100 } })
    await gate.reached
    const elsewhere = { status: 'running', attempt: 7, worker_id: 'another' }
    await database.write((tx) =>
      tx.sql.updateTable('operations').set(elsewhere).where('id', '=', id).execute(),
    )
    gate.open()
    while (reasons.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    const [reason] = reasons
    assert.ok(reason instanceof StopRequest && reason.why === 'lease_lost')
    while (bench().jobs.room.busy.size > 0) await new Promise((resolve) => setTimeout(resolve, 5))
    assert.deepEqual(await bench().files('.done'), [])
    const now = await jobs.get(ann, id)
    assert.deepEqual([now.status, now.attempt, now.workerId], ['running', 7, 'another'])
    assert.deepEqual(await bench().history(id), ['submitted', 'started'])
  })

  test('a worker that others took for dead stops its runs, and works on under a new name', async () => {
    const { jobs, database } = bench()
    await bench().startWorker({ isAlone: false, beatIntervalMs: 50 })
    const gate = gateAt(bench(), 3)
    const { id } = await jobs.submit(ann, { kind: 'custom', input: { count: 6, stepMs: 1 } })
    await gate.reached
    const { workerId } = await jobs.get(ann, id)
    await database.write((tx) => endWorker(tx, workerId ?? ''))
    await bench().until(id, 'pending')
    gate.open()
    const done = await bench().end(id)
    assert.deepEqual([done.status, done.attempt], ['completed', 2])
    assert.deepEqual(await bench().files('.done'), [`${id}-2.done`])
    await assertOneEnd(bench(), id)
  })

  test('two workers on the same records never run the same operation', async () => {
    const { jobs, hooks } = bench()
    const runs = new Map<string, number>()
    hooks.onRun = ({ operationId }) => void runs.set(operationId, (runs.get(operationId) ?? 0) + 1)
    const ids: string[] = []
    const other = new Worker({ jobs: bench().newJobs(), isAlone: false, concurrency: 3 })
    await bench().startWorker({ isAlone: false, concurrency: 3 })
    await other.start()
    for (let count = 0; count < 30; count += 1) {
      ids.push((await jobs.submit(ann, { kind: 'custom', input: { count: 2 } })).id)
    }
    for (const id of ids) {
      assert.equal((await bench().end(id)).status, 'completed')
      await assertOneEnd(bench(), id)
    }
    await other.drain()
    assert.deepEqual(
      [...runs.values()].filter((count) => count !== 1),
      [],
    )
  })
}

function testClock(bench: Get, clock: SettableClock): void {
  test('a clock that is set back by hours in the middle of a run hurts nothing', async () => {
    const { jobs } = bench()
    await bench().startWorker({ isAlone: false })
    const gate = gateAt(bench(), 3)
    const { id } = await jobs.submit(ann, { kind: 'custom', input: { count: 6, stepMs: 1 } })
    await gate.reached
    clock.setBackMs = 5 * 60 * 60 * 1000
    await jobs.pause(ann, id)
    gate.open()
    await bench().until(id, 'paused')
    await jobs.resume(ann, id)
    const done = await bench().end(id)
    assert.deepEqual([done.status, done.progress.percent], ['completed', 100])
    const next = await jobs.submit(ann, { kind: 'custom' })
    assert.equal((await bench().end(next.id)).status, 'completed')
    const sequences = (await bench().events(id)).map(({ sequence }) => sequence)
    assert.deepEqual(
      sequences,
      sequences.toSorted((left, right) => left - right),
    )
  })
}
