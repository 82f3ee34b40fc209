import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { ann, assertOneEnd, Bench } from '../../src/jobs/bench.test-support.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
import { WorkerProcess } from '../support/worker-process.ts'

// Several worker processes on one PostgreSQL: one that vanishes, and one that
// only looked dead and wakes up again.

const NOTICED_WITHIN_MS = 10_000

let server: TestPostgres
before(async () => {
  server = await startPostgres()
})
after(() => server.stop())

async function withWorkers(
  use: (bench: Bench, start: () => WorkerProcess) => Promise<void>,
): Promise<void> {
  const url = await server.createDatabase()
  const bench = await Bench.open(() => openPostgres({ url }))
  const workers: WorkerProcess[] = []
  try {
    await use(bench, () => {
      const options = { records: { url }, folder: bench.engine.folder, holdAt: null }
      const worker = new WorkerProcess(options)
      workers.push(worker)
      return worker
    })
  } finally {
    for (const worker of workers) await worker.end('SIGKILL')
    await bench.close()
  }
}

test('a worker that stands still is noticed within 10 s; when it wakes it stops and publishes nothing', async () => {
  await withWorkers(async (bench, start) => {
    const input = { count: 60, stepMs: 50, checkpointEvery: 5 }
    const { id } = await bench.jobs.submit(ann, { kind: 'custom', input })
    const first = start()
    await first.until('step 12')
    const second = start()
    await second.until('ready')
    first.signal('SIGSTOP')
    const stoppedAtMs = performance.now()
    await second.until('event interrupted')
    const noticedMs = performance.now() - stoppedAtMs
    assert.ok(noticedMs < NOTICED_WITHIN_MS, `noticed after ${Math.round(noticedMs)} ms`)
    await second.until('run 2 with caution')
    first.signal('SIGCONT')
    await first.until('told lease_lost')
    await second.until('event completed')
    const ended = await bench.jobs.get(ann, id)
    assert.deepEqual([ended.status, ended.attempt, ended.resumedCount], ['completed', 2, 1])
    await assertOneEnd(bench, id)
    assert.ok(!first.said.includes('published'))
    const done = (await readdir(bench.engine.folder)).filter((name) => name.endsWith('.done'))
    assert.deepEqual(done, [`${id}-2.done`])
    // The one that was taken for dead works on under another name.
    assert.equal(await second.end('SIGTERM'), 0)
    const next = await bench.jobs.submit(ann, { kind: 'custom' })
    assert.equal((await bench.end(next.id)).status, 'completed')
    assert.equal(await first.end('SIGTERM'), 0)
  })
})

test('a killed worker is noticed within 10 s by another, which knows that it is gone', async () => {
  await withWorkers(async (bench, start) => {
    const input = { count: 40, stepMs: 50, checkpointEvery: 5 }
    const { id } = await bench.jobs.submit(ann, { kind: 'custom', input })
    const first = start()
    await first.until('step 12')
    const second = start()
    await second.until('ready')
    await first.end('SIGKILL')
    const killedAtMs = performance.now()
    await second.until('event interrupted')
    const noticedMs = performance.now() - killedAtMs
    assert.ok(noticedMs < NOTICED_WITHIN_MS, `noticed after ${Math.round(noticedMs)} ms`)
    await second.until('run 2 after its end')
    const ended = await bench.end(id)
    assert.match(ended.statusReason, /resumed once, [1-3](\.5)? KB not done again/)
    await assertOneEnd(bench, id)
  })
})

test('progress and intents reach an operation that runs in another process', async () => {
  await withWorkers(async (bench, start) => {
    const worker = start()
    await worker.until('ready')
    const heard: number[] = []
    const stopListening = bench.jobs.onProgress((news) => void heard.push(news.progress.bytesDone))
    const input = { count: 500, stepMs: 10, checkpointEvery: 1_000 }
    const { id } = await bench.jobs.submit(ann, { kind: 'custom', input })
    await worker.until('step 100')
    assert.ok(heard.length > 1, 'no progress was heard')
    const askedAtMs = performance.now()
    await bench.jobs.pause(ann, id)
    await worker.until('event paused')
    const tookMs = performance.now() - askedAtMs
    assert.ok(tookMs < 500, `the pause took ${Math.round(tookMs)} ms`)
    stopListening()
    assert.deepEqual(
      heard,
      heard.toSorted((left, right) => left - right),
    )
  })
})

test('a database that crashes and comes back in the middle of a run costs it nothing', async () => {
  const url = await server.createDatabase()
  const bench = await Bench.open(() => openPostgres({ url }))
  try {
    await bench.startWorker()
    const input = { count: 100, stepMs: 30, checkpointEvery: 5 }
    const { id } = await bench.jobs.submit(ann, { kind: 'custom', input })
    const reached = Promise.withResolvers<void>()
    bench.hooks.onStep = (_task, step) => {
      if (step === 20) reached.resolve()
    }
    await reached.promise
    await server.crashAndRestart()
    const deadlineMs = performance.now() + 30_000
    let ended = await bench.end(id)
    while (ended.finishedAtMs === null && performance.now() < deadlineMs)
      ended = await bench.end(id)
    assert.deepEqual([ended.status, ended.outcome], ['completed', 'success'])
    await assertOneEnd(bench, id)
  } finally {
    await bench.close()
  }
})
