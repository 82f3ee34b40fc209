import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  advance,
  completed,
  NO_PROGRESS,
  type Progress,
  type ProgressReport,
  percentRunning,
  standing,
} from './progress.ts'
import { seededRandom } from './random.test-support.ts'

const NO_PACE = { ratePerSecond: null, secondsLeft: null }

const report = (over: Partial<ProgressReport> = {}): ProgressReport => ({
  phase: 'reading',
  bytesDone: 0,
  bytesTotal: null,
  itemsDone: 0,
  itemsTotal: null,
  currentItem: null,
  ...over,
})

test('percent is a whole number, capped at 99 while it runs, and null where no total is known', () => {
  assert.equal(percentRunning(5, null), null)
  assert.equal(percentRunning(0, 0), 0)
  assert.equal(percentRunning(1, 3), 33)
  assert.equal(percentRunning(999, 1000), 99)
  assert.equal(percentRunning(1000, 1000), 99)
  assert.equal(percentRunning(1001, 1000), 99)
})

/** Reports as an honest engine makes them, one run after the other, each possibly behind the last. */
function* reportsOf(seed: number): Generator<ProgressReport> {
  const random = seededRandom(seed)
  const upTo = (limit: number) => Math.floor(random() * limit)
  for (let run = 0; run < 1 + upTo(4); run += 1) {
    let bytesDone = upTo(2) * upTo(5_000)
    let itemsDone = upTo(3)
    let total: number | null = random() < 0.3 ? null : bytesDone + upTo(20_000)
    for (let step = 0; step < 40; step += 1) {
      bytesDone += upTo(400)
      itemsDone += upTo(2)
      if (random() < 0.1) total = bytesDone + upTo(20_000)
      if (total !== null) total = Math.max(total, random() < 0.9 ? bytesDone : 0)
      const itemsTotal = random() < 0.5 ? null : itemsDone + upTo(10)
      yield report({ phase: `p${upTo(3)}`, bytesDone, bytesTotal: total, itemsDone, itemsTotal })
    }
  }
}

for (let seed = 1; seed <= 200; seed += 1) {
  test(`progress never falls and never passes what was reported, seed ${seed}`, () => {
    let progress: Progress = NO_PROGRESS
    let mostBytes = 0
    let mostItems = 0
    let mostPercent = 0
    for (const next of reportsOf(seed)) {
      const before = progress
      progress = advance(before, next, NO_PACE)
      mostBytes = Math.max(mostBytes, next.bytesDone)
      mostItems = Math.max(mostItems, next.itemsDone)
      mostPercent = Math.max(
        mostPercent,
        percentRunning(progress.bytesDone, progress.bytesTotal) ?? 0,
      )
      assert.equal(progress.bytesDone, mostBytes)
      assert.equal(progress.itemsDone, mostItems)
      assert.ok(progress.bytesTotal === null || progress.bytesDone <= progress.bytesTotal)
      assert.ok(progress.itemsTotal === null || progress.itemsDone <= progress.itemsTotal)
      assert.ok((progress.percent ?? 0) >= (before.percent ?? 0))
      assert.ok((progress.percent ?? 0) <= Math.min(99, mostPercent))
      assert.equal(progress.phase, next.phase)
    }
  })
}

test('a run that starts again behind the last shows the old figures until it has passed them', () => {
  const far = advance(
    NO_PROGRESS,
    report({ bytesDone: 60, bytesTotal: 100, itemsDone: 6 }),
    NO_PACE,
  )
  const again = advance(far, report({ bytesDone: 10, bytesTotal: 100, itemsDone: 1 }), NO_PACE)
  assert.deepEqual([again.bytesDone, again.itemsDone, again.percent], [60, 6, 60])
  const beyond = advance(again, report({ bytesDone: 70, bytesTotal: 100, itemsDone: 7 }), NO_PACE)
  assert.deepEqual([beyond.bytesDone, beyond.percent], [70, 70])
})

test('a total that is known stays known when a later phase does not repeat it', () => {
  const known = advance(NO_PROGRESS, report({ bytesTotal: 100 }), NO_PACE)
  assert.equal(advance(known, report({ bytesTotal: null }), NO_PACE).bytesTotal, 100)
})

test('completion fills every lane with what was really done, and alone says 100', () => {
  const running = advance(
    NO_PROGRESS,
    report({ bytesDone: 90, bytesTotal: 100, itemsDone: 3, itemsTotal: 4, transferredBytes: 5 }),
    { ratePerSecond: 10, secondsLeft: 1 },
  )
  const done = completed(running)
  assert.deepEqual([done.bytesDone, done.bytesTotal], [90, 90])
  assert.deepEqual([done.itemsDone, done.itemsTotal], [3, 3])
  assert.deepEqual([done.percent, done.secondsLeft, done.ratePerSecond], [100, 0, null])
  assert.equal(done.transferredTotal, null, 'what was unknown stays unknown')
})

test('what stands still keeps how far it came and has no pace', () => {
  const pace = { ratePerSecond: 10, secondsLeft: 9 }
  const running = advance(
    NO_PROGRESS,
    report({ bytesDone: 5, bytesTotal: 10, currentItem: 'a' }),
    pace,
  )
  const still = standing(running)
  assert.deepEqual([still.bytesDone, still.percent], [5, 50])
  assert.deepEqual([still.ratePerSecond, still.secondsLeft, still.currentItem], [null, null, null])
})
