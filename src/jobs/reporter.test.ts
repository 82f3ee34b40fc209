import assert from 'node:assert/strict'
import { mock, type TestContext, test } from 'node:test'
import { WARNINGS_KEPT_MAX } from '../core/outcome.ts'
import { NO_PROGRESS, type Progress, type ProgressReport } from '../core/progress.ts'
import { type ReportBatch, Reporter } from './reporter.ts'

const report = (bytesDone: number, phase = 'reading'): ProgressReport => ({
  phase,
  bytesDone,
  bytesTotal: 10_000,
  itemsDone: 0,
  itemsTotal: null,
  currentItem: null,
})

const warning = (item: string) => ({ code: 'odd', message: 'odd', item })

/** A reporter whose time is that of the mocked timers, and whose writes a test can hold up or refuse. */
function open(t: TestContext, warningCount = 0) {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.after(() => mock.timers.reset())
  let nowMs = 0
  const told: Progress[] = []
  const stored: ReportBatch[] = []
  const writes: PromiseWithResolvers<void>[] = []
  const reporter = new Reporter({
    previous: NO_PROGRESS,
    warningCount,
    monotonicMs: () => nowMs,
    tell: (progress) => void told.push(progress),
    store: (batch) => {
      stored.push(batch)
      const write = Promise.withResolvers<void>()
      writes.push(write)
      return write.promise
    },
  })
  const pass = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 10) {
      nowMs += 10
      mock.timers.tick(10)
      // Lets what waits for a write go on.
      for (let turn = 0; turn < 5; turn += 1) await Promise.resolve()
    }
  }
  return { reporter, told, stored, writes, pass }
}

test('tells the first report at once and then the newest four times a second at most', async (t) => {
  const { reporter, told, pass } = open(t)
  for (let ms = 0; ms < 1_000; ms += 10) {
    reporter.report(report(ms))
    await pass(10)
  }
  assert.equal(told.length, 4)
  assert.equal(told[0]?.bytesDone, 0)
})

test('a new phase is told without the wait, and phases to and fro do not flood anybody', async (t) => {
  const { reporter, told, pass } = open(t)
  reporter.report(report(0, 'scanning'))
  await pass(60)
  reporter.report(report(0, 'archiving'))
  await pass(10)
  assert.deepEqual(
    told.map(({ phase }) => phase),
    ['scanning', 'archiving'],
  )
  for (let ms = 0; ms < 1_000; ms += 10) {
    reporter.report(report(0, `phase ${ms}`))
    await pass(10)
  }
  assert.ok(told.length <= 22, `told ${told.length} times`)
})

test('what earlier runs did counts for no rate, whenever the engine says so', async (t) => {
  const { reporter, told, pass } = open(t)
  // Reports before and after the word that it goes on, as they come from threads.
  reporter.report(report(0))
  await pass(1_500)
  reporter.resumedFrom(5_000)
  reporter.report(report(0))
  await pass(300)
  for (let ms = 0; ms <= 3_000; ms += 10) {
    reporter.report(report(5_000 + ms / 10))
    await pass(10)
  }
  const rates = told.map(({ ratePerSecond }) => ratePerSecond ?? 0)
  assert.ok(Math.max(...rates) <= 110, `rates: ${rates.join(', ')}`)
  assert.ok((rates.at(-1) ?? 0) >= 90, `rates: ${rates.join(', ')}`)
})

test('keeps only the newest of many reports', async (t) => {
  const { reporter, told, pass } = open(t)
  for (let count = 0; count <= 5_000; count += 1) reporter.report(report(count))
  await pass(20)
  assert.deepEqual(
    told.map(({ bytesDone }) => bytesDone),
    [5_000],
  )
})

test('stores every half second at most, one write at a time', async (t) => {
  const { reporter, stored, writes, pass } = open(t)
  for (let ms = 0; ms < 2_000; ms += 10) {
    reporter.report(report(ms))
    await pass(10)
  }
  assert.equal(stored.length, 1, 'the first write has not ended')
  writes[0]?.resolve()
  await pass(20)
  assert.equal(stored.length, 2, 'the next waited for it')
})

test('offers again what could not be stored, in its order', async (t) => {
  const { reporter, stored, writes, pass } = open(t)
  reporter.report(report(1, 'first'))
  reporter.warn(warning('a'))
  await pass(20)
  reporter.report(report(2, 'second'))
  reporter.warn(warning('b'))
  writes[0]?.reject(new Error('disk full'))
  await pass(600)
  const again = stored[1]
  assert.deepEqual(again?.phases, ['first', 'second'])
  assert.deepEqual(
    again?.warnings.map(({ number, item }) => [number, item]),
    [
      [1, 'a'],
      [2, 'b'],
    ],
  )
})

test('keeps so many warnings and counts the rest, going on from the count of the last run', async (t) => {
  const { reporter } = open(t, WARNINGS_KEPT_MAX - 2)
  for (let count = 0; count < 10; count += 1) reporter.warn(warning(String(count)))
  const last = await reporter.close()
  assert.deepEqual(
    last.warnings.map(({ number }) => number),
    [WARNINGS_KEPT_MAX - 1, WARNINGS_KEPT_MAX],
  )
  assert.equal(last.warningCount, WARNINGS_KEPT_MAX + 8)
})

test('answers at its close what was not stored yet, and then hears nothing more', async (t) => {
  const { reporter, told, stored, pass } = open(t)
  reporter.report(report(700, 'only'))
  const last = await reporter.close()
  assert.deepEqual([last.progress.bytesDone, last.phases], [700, ['only']])
  reporter.report(report(900))
  reporter.warn(warning('late'))
  await pass(2_000)
  assert.deepEqual([told, stored], [[], []])
})

test('an engine that changes its phase to and fro fills no memory', async (t) => {
  const { reporter } = open(t)
  for (let count = 0; count < 10_000; count += 1) reporter.report(report(1, `phase ${count}`))
  const last = await reporter.close()
  assert.ok(last.phases.length <= 16)
  assert.equal(last.phases.at(-1), 'phase 9999')
})
