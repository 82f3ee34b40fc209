import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { JsonObject } from '../core/json.ts'
import type { ProgressReport } from '../core/progress.ts'
import {
  type Engine,
  type EngineContext,
  type EngineResult,
  type EngineTask,
  StopRequest,
} from './engine.ts'

/** One engine with a world of its own to work in. The suite asks for a fresh one for each test. */
export interface EngineFixture {
  readonly engine: Engine
  /**
   * A task that works, and works long enough to be stopped after its first
   * report. The same `operationId` is the same operation: same input, same source.
   */
  task(operationId: string, attempt: number): EngineTask
  /** Everything that a reader could take for a result, in words that are equal when nothing has changed. */
  published(): Promise<string>
  /** What runs left half-made: names, sorted. They begin with, or contain, nothing but what the engine chose. */
  leftovers(): Promise<readonly string[]>
  /** What a run achieved, without what differs from run to run, such as names with the attempt in them. */
  outcome(result: EngineResult, task: EngineTask): Promise<string>
  /** Puts the world back to before any run, where a second run would otherwise find the work done. */
  reset?(): Promise<void>
  close(): Promise<void>
}

export interface EngineContractOptions {
  /** `false` for an engine that saves no checkpoints: it starts again every time. */
  readonly resumes?: boolean
  /** `false` for an engine that only reads, such as a verify. */
  readonly publishes?: boolean
  /** How soon it has to settle once it is told to stop. */
  readonly stopsWithinMs?: number
}

const OPERATION = '0193f000-0000-7000-8000-000000000001'
const OTHER_OPERATION = '0193f000-0000-7000-8000-000000000002'

type Suite = () => EngineFixture

/** Holds an engine to the promises of engine.ts. */
export function describeEngine(
  name: string,
  open: () => Promise<EngineFixture>,
  options: EngineContractOptions = {},
): void {
  describe(`${name} keeps the promises of an engine`, () => {
    let fixture: EngineFixture
    beforeEach(async () => {
      fixture = await open()
    })
    afterEach(() => fixture.close())
    const suite = () => fixture
    testResult(suite)
    testStop(suite, options.stopsWithinMs ?? 3_000)
    if (options.publishes !== false) testFencing(suite)
    if (options.resumes !== false) testResume(suite)
    testDiscard(suite)
  })
}

function testResult(suite: Suite): void {
  test('reports lanes that never pass their totals, and at least once', async () => {
    const { engine, task } = suite()
    const run = contextFor()
    await engine.run(task(OPERATION, 1), run.context)
    assert.ok(run.reports.length > 0, 'no report at all')
    for (const report of run.reports) assertLanes(report)
  })

  test('accepts in check what it can run', async () => {
    const { engine, task } = suite()
    await engine.check(task(OPERATION, 0))
  })

  test('names the same subjects for the same task', () => {
    const { engine, task } = suite()
    assert.deepEqual(engine.subjects(task(OPERATION, 0)), engine.subjects(task(OPERATION, 2)))
  })

  test('runs again with the same input to an equal result', async () => {
    const { engine, task, outcome, reset } = suite()
    const first = await engine.run(task(OPERATION, 1), contextFor().context)
    const firstOutcome = await outcome(first, task(OPERATION, 1))
    await reset?.()
    const second = await engine.run(task(OPERATION, 2), contextFor().context)
    assert.equal(await outcome(second, task(OPERATION, 2)), firstOutcome)
  })

  test('leaves nothing half-made behind a result', async () => {
    const { engine, task, leftovers } = suite()
    await engine.run(task(OPERATION, 1), contextFor().context)
    assert.deepEqual(await leftovers(), [])
  })
}

function testStop(suite: Suite, stopsWithinMs: number): void {
  test('rejects with the reason when it was told to stop before it began', async () => {
    const { engine, task, published } = suite()
    const before = await published()
    const run = contextFor()
    run.stop('cancel')
    await assert.rejects(engine.run(task(OPERATION, 1), run.context), isReasonOf(run))
    assert.equal(await published(), before)
  })

  for (const why of ['pause', 'cancel', 'shutdown', 'lease_lost'] as const) {
    test(`settles soon after a ${why} with the reason, and has published nothing`, async () => {
      const { engine, task, published } = suite()
      const before = await published()
      const run = contextFor({ stopAtReport: why })
      await assert.rejects(engine.run(task(OPERATION, 1), run.context), isReasonOf(run))
      const tookMs = performance.now() - run.stoppedAtMs()
      assert.ok(tookMs < stopsWithinMs, `took ${Math.round(tookMs)} ms to stop`)
      assert.equal(await published(), before)
    })
  }
}

function testFencing(suite: Suite): void {
  test('publishes nothing when another run has taken over', async () => {
    const { engine, task, published } = suite()
    const before = await published()
    const run = contextFor({ isCurrent: false })
    await assert.rejects(engine.run(task(OPERATION, 1), run.context))
    assert.ok(run.currentAsked() > 0, 'it never asked whether its run is the present one')
    assert.equal(await published(), before)
  })

  test('stops without publishing when a checkpoint is refused', async (t) => {
    const { engine, task, published } = suite()
    const before = await published()
    const run = contextFor({ refusesCheckpoints: true })
    const settled = await engine.run(task(OPERATION, 1), run.context).then(
      () => 'resolved',
      () => 'rejected',
    )
    if (run.checkpoints.length === 0) return t.skip('it saved no checkpoint in this task')
    assert.equal(settled, 'rejected')
    assert.equal(await published(), before)
  })
}

function testResume(suite: Suite): void {
  for (const predecessorEnded of [true, false]) {
    const which = predecessorEnded ? 'has ended' : 'may still be at work'
    test(`goes on from its checkpoint to an equal result when the last run ${which}`, async () => {
      const { engine, task, outcome, reset, leftovers } = suite()
      const whole = await engine.run(task(OTHER_OPERATION, 1), contextFor().context)
      const wholeOutcome = await outcome(whole, task(OTHER_OPERATION, 1))
      await reset?.()
      const checkpoint = await stopInTheMiddle(suite())
      const kept = await leftovers()
      const run = contextFor({ checkpoint, predecessorEnded })
      const result = await engine.run(task(OPERATION, 2), run.context)
      assert.equal(await outcome(result, task(OPERATION, 2)), wholeOutcome)
      assert.equal(run.resumed.length, checkpoint === null ? 0 : 1, 'says once what was not redone')
      if (predecessorEnded) return
      const now = await leftovers()
      const touched = kept.filter((leftover) => !now.includes(leftover))
      assert.deepEqual(touched, [], 'took files of a run that may still be at work')
    })
  }

  test('comes to an equal result also when what the checkpoint speaks of is gone', async () => {
    const { engine, task, outcome, reset } = suite()
    const whole = await engine.run(task(OTHER_OPERATION, 1), contextFor().context)
    const wholeOutcome = await outcome(whole, task(OTHER_OPERATION, 1))
    await reset?.()
    const checkpoint = await stopInTheMiddle(suite())
    await engine.discard(task(OPERATION, 1), checkpoint)
    const run = contextFor({ checkpoint })
    const result = await engine.run(task(OPERATION, 2), run.context)
    assert.equal(await outcome(result, task(OPERATION, 2)), wholeOutcome)
  })
}

function testDiscard(suite: Suite): void {
  for (const withCheckpoint of [true, false]) {
    const how = withCheckpoint ? 'with its checkpoint' : 'without a checkpoint'
    test(`discard ${how} removes all that a stopped run left, and may be called again`, async () => {
      const { engine, task, leftovers, published } = suite()
      const before = await published()
      const checkpoint = await stopInTheMiddle(suite())
      const given = withCheckpoint ? checkpoint : null
      await engine.discard(task(OPERATION, 1), given)
      assert.deepEqual(await leftovers(), [])
      await engine.discard(task(OPERATION, 1), given)
      assert.equal(await published(), before)
    })
  }

  test('discard removes what earlier attempts left', async () => {
    const { engine, task, leftovers } = suite()
    await stopInTheMiddle(suite())
    const run = contextFor({ stopAtReport: 'cancel', predecessorEnded: false })
    await assert.rejects(engine.run(task(OPERATION, 2), run.context))
    await engine.discard(task(OPERATION, 2), run.checkpoints.at(-1) ?? null)
    assert.deepEqual(await leftovers(), [])
  })

  test('discard of one operation leaves the work of another alone', async () => {
    const { engine, task, leftovers, published, outcome } = suite()
    const checkpoint = await stopInTheMiddle(suite())
    const kept = await leftovers()
    const before = await published()
    await engine.discard(task(OTHER_OPERATION, 1), null)
    assert.deepEqual(await leftovers(), kept)
    assert.equal(await published(), before)
    const result = await engine.run(task(OPERATION, 2), contextFor({ checkpoint }).context)
    const achieved = await outcome(result, task(OPERATION, 2))
    await engine.discard(task(OTHER_OPERATION, 1), null)
    assert.equal(await outcome(result, task(OPERATION, 2)), achieved)
  })
}

/** Runs the first attempt until it has saved a checkpoint, or has reported where it saves none before. */
async function stopInTheMiddle({ engine, task }: EngineFixture): Promise<JsonObject | null> {
  const run = contextFor({ stopAtReport: 'pause' })
  await assert.rejects(
    engine.run(task(OPERATION, 1), run.context),
    isReasonOf(run),
    'the task was over before it could be stopped: give the fixture a larger one',
  )
  return run.checkpoints.at(-1) ?? null
}

function assertLanes(report: ProgressReport): void {
  const { bytesDone, bytesTotal, itemsDone, itemsTotal } = report
  const said = JSON.stringify(report)
  assert.ok(report.phase.length > 0, said)
  assert.ok(bytesDone >= 0 && itemsDone >= 0, said)
  assert.ok(bytesTotal === null || bytesDone <= bytesTotal, said)
  assert.ok(itemsTotal === null || itemsDone <= itemsTotal, said)
}

const isReasonOf = (run: RecordedRun) => (error: unknown) => {
  assert.equal(error, run.context.signal.reason)
  return true
}

interface RecordedRun {
  readonly context: EngineContext
  readonly reports: ProgressReport[]
  readonly checkpoints: JsonObject[]
  readonly resumed: number[]
  currentAsked(): number
  stop(why: StopRequest['why']): void
  stoppedAtMs(): number
}

interface ContextOptions {
  readonly checkpoint?: JsonObject | null
  readonly predecessorEnded?: boolean
  /** Stops the run at its first report that shows work done. */
  readonly stopAtReport?: StopRequest['why']
  readonly isCurrent?: boolean
  readonly refusesCheckpoints?: boolean
}

function contextFor(options: ContextOptions = {}): RecordedRun {
  const stopper = new AbortController()
  const reports: ProgressReport[] = []
  const checkpoints: JsonObject[] = []
  const resumed: number[] = []
  let asked = 0
  let stoppedAtMs = 0
  const stop = (why: StopRequest['why']) => {
    if (stopper.signal.aborted) return
    stoppedAtMs = performance.now()
    stopper.abort(new StopRequest(why))
  }
  const context: EngineContext = {
    signal: stopper.signal,
    checkpoint: options.checkpoint ?? null,
    predecessorEnded: options.predecessorEnded ?? true,
    report: (report) => {
      reports.push(structuredClone(report))
      const hasBegun = report.bytesDone > 0 || report.itemsDone > 0
      if (options.stopAtReport !== undefined && hasBegun) stop(options.stopAtReport)
    },
    warn: () => undefined,
    saveCheckpoint: async (checkpoint) => {
      checkpoints.push(structuredClone(checkpoint))
      if (options.refusesCheckpoints === true) throw new StopRequest('lease_lost')
    },
    resumedFrom: (bytesNotRedone) => void resumed.push(bytesNotRedone),
    assertCurrent: async () => {
      asked += 1
      if (options.isCurrent === false) throw new StopRequest('lease_lost')
    },
  }
  const currentAsked = () => asked
  return {
    context,
    reports,
    checkpoints,
    resumed,
    currentAsked,
    stop,
    stoppedAtMs: () => stoppedAtMs,
  }
}
