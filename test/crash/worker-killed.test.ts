import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { ann, assertOneEnd, Bench } from '../../src/jobs/bench.test-support.ts'
import { STEP_BYTES } from '../../src/jobs/counting-engine.test-support.ts'
import { LOST_RUNS_MAX } from '../../src/jobs/settle.ts'
import { openSqlite } from '../../src/store/sqlite.ts'
import { WorkerProcess } from '../support/worker-process.ts'

// Kills a real worker process with SIGKILL in each state of a run; the next one
// on the same records must bring the operation to its one end.

let bench: Bench
let worker: WorkerProcess | null = null
beforeEach(async () => {
  bench = await Bench.open((folder) => openSqlite({ file: join(folder, 'records.db') }))
})
afterEach(async () => {
  await worker?.end('SIGKILL')
  await bench.close()
})

function startWorker(holdAt: number | 'published' | null): WorkerProcess {
  const records = { file: join(bench.folder, 'records.db') }
  worker = new WorkerProcess({ records, folder: bench.engine.folder, holdAt })
  return worker
}

interface State {
  readonly name: string
  readonly holdAt: number | 'published'
  readonly said: string
  readonly checkpointEvery: number
  readonly bytesNotRedone: number
}

const COUNT = 6
const STATES: readonly State[] = [
  { name: 'it was claimed', holdAt: 0, said: 'step 0', checkpointEvery: 1, bytesNotRedone: 0 },
  {
    name: 'it ran, before its first checkpoint',
    holdAt: 3,
    said: 'step 3',
    checkpointEvery: 100,
    bytesNotRedone: 0,
  },
  {
    name: 'it ran, after a checkpoint',
    holdAt: 5,
    said: 'step 5',
    checkpointEvery: 2,
    bytesNotRedone: 4 * STEP_BYTES,
  },
  {
    name: 'it was published and not yet settled',
    holdAt: 'published',
    said: 'published',
    checkpointEvery: 100,
    bytesNotRedone: 0,
  },
]

for (const state of STATES) {
  test(`an operation whose worker is killed when ${state.name} ends well and once`, async () => {
    const input = { count: COUNT, checkpointEvery: state.checkpointEvery }
    const { id } = await bench.jobs.submit(ann, { kind: 'custom', input })
    const killed = startWorker(state.holdAt)
    await killed.until(state.said)
    assert.equal(await killed.end('SIGKILL'), null)
    assert.equal((await bench.jobs.get(ann, id)).status, 'running', 'nobody has told the records')
    const next = startWorker(null)
    await next.until('event completed')
    assert.ok(next.said.includes('run 2 after its end'), next.said.join())
    assert.equal(await next.end('SIGTERM'), 0)
    const ended = await bench.jobs.get(ann, id)
    assert.deepEqual([ended.status, ended.attempt], ['completed', 2])
    assert.equal(ended.bytesNotRedone, state.bytesNotRedone)
    await assertOneEnd(bench, id)
    const lines = (await readFile(join(bench.engine.folder, `${id}-2.done`), 'utf8')).split('\n')
    assert.deepEqual(
      lines.map((line) => line.replace(/\.+$/, '')),
      [...Array.from({ length: COUNT }, (_, step) => `step ${step}`), ''],
    )
  })
}

for (const ask of ['pause', 'cancel'] as const) {
  test(`a ${ask} that was asked before the worker was killed is honoured by the next`, async () => {
    const { id } = await bench.jobs.submit(ann, { kind: 'custom', input: { count: COUNT } })
    const killed = startWorker(4)
    await killed.until('step 4')
    const asked = await bench.jobs[ask](ann, id)
    assert.equal(asked.intent, ask)
    await killed.end('SIGKILL')
    const next = startWorker(null)
    await next.until(ask === 'pause' ? 'event paused' : 'event cancelled')
    await next.until('ready')
    assert.equal(await next.end('SIGTERM'), 0)
    const now = await bench.jobs.get(ann, id)
    assert.equal(now.statusReason, ask === 'pause' ? 'paused by Ann' : 'cancelled by Ann')
    assert.ok(!next.said.some((line) => line.startsWith('run')), 'it ran again')
  })
}

test('an operation that ends every worker that takes it fails, and the others go on', async () => {
  const poison = await bench.jobs.submit(ann, { kind: 'custom', input: { count: 1 } })
  for (let lost = 1; lost <= LOST_RUNS_MAX; lost += 1) {
    const killed = startWorker(0)
    await killed.until('step 0')
    await killed.end('SIGKILL')
  }
  const next = startWorker(null)
  await next.until('event failed')
  const other = await bench.jobs.submit(ann, { kind: 'custom', input: { count: 1 } })
  await next.until('event completed')
  assert.equal(await next.end('SIGTERM'), 0)
  const failed = await bench.jobs.get(ann, poison.id)
  assert.deepEqual([failed.status, failed.attempt], ['failed', LOST_RUNS_MAX])
  assert.match(failed.statusReason, /its worker vanished 10 times in a row/)
  await assertOneEnd(bench, poison.id)
  assert.equal((await bench.jobs.get(ann, other.id)).status, 'completed')
  assert.deepEqual(await bench.files('.part'), [], 'half-made files stayed')
})

test('an operation whose worker is killed at random moments ends well and once', async () => {
  const input = { count: 60, stepMs: 10, checkpointEvery: 3 }
  const { id } = await bench.jobs.submit(ann, { kind: 'custom', input })
  for (let kill = 0; kill < 5; kill += 1) {
    const killed = startWorker(null)
    await killed.until('ready')
    await new Promise((resolve) => setTimeout(resolve, 40 * kill))
    await killed.end('SIGKILL')
  }
  const last = startWorker(null)
  await last.until('event completed')
  assert.equal(await last.end('SIGTERM'), 0)
  const ended = await bench.jobs.get(ann, id)
  assert.deepEqual([ended.status, ended.progress.percent], ['completed', 100])
  assert.ok(ended.resumedCount > 0, ended.statusReason)
  await assertOneEnd(bench, id)
})

test('a worker that is told to stop leaves a checkpoint, goes with 0, and the next goes on', async () => {
  const input = { count: 60, stepMs: 20, checkpointEvery: 1_000 }
  const { id } = await bench.jobs.submit(ann, { kind: 'custom', input })
  const stopped = startWorker(null)
  await stopped.until('step 10')
  assert.equal(await stopped.end('SIGTERM'), 0)
  const waiting = await bench.jobs.get(ann, id)
  assert.equal(waiting.status, 'pending')
  assert.match(waiting.statusReason, /the server is stopping; waiting to resume/)
  assert.ok(Number(waiting.checkpoint?.['done']) >= 10)
  const next = startWorker(null)
  await next.until('event completed')
  assert.ok(!next.said.includes('step 9'), 'did again what the checkpoint had')
  assert.equal(await next.end('SIGTERM'), 0)
})
