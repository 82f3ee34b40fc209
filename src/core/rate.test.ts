import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from './random.test-support.ts'
import { RateWindow } from './rate.ts'

test('says no rate in the first second and no time left in the first four', () => {
  const window = new RateWindow()
  assert.equal(window.pace(0, 10_000, 0).ratePerSecond, null)
  assert.equal(window.pace(900, 10_000, 900).ratePerSecond, null)
  const early = window.pace(2_000, 10_000, 2_000)
  assert.deepEqual([early.ratePerSecond, early.secondsLeft], [1_000, null])
  window.pace(4_000, 10_000, 4_000)
  assert.deepEqual(window.pace(5_000, 10_000, 5_000), { ratePerSecond: 1_000, secondsLeft: 5 })
})

test('a steady pace gives the time that is really left', () => {
  const window = new RateWindow()
  for (let seconds = 0; seconds < 60; seconds += 1) {
    const { secondsLeft } = window.pace(seconds * 500, 30_000, seconds * 1_000)
    if (seconds > 4) assert.equal(secondsLeft, 60 - seconds)
  }
})

test('forgets what lies behind the window: a new pace is seen within 15 s', () => {
  const window = new RateWindow()
  for (let seconds = 0; seconds < 30; seconds += 1) {
    window.pace(seconds * 1_000, null, seconds * 1_000)
  }
  for (let seconds = 30; seconds < 46; seconds += 1) {
    window.pace(30_000 + (seconds - 30) * 100, null, seconds * 1_000)
  }
  assert.equal(window.pace(31_600, null, 46_000).ratePerSecond, 100)
})

test('withholds the time left without a total, while nothing moves, and when the pace swings', () => {
  const still = new RateWindow()
  for (let seconds = 0; seconds < 10; seconds += 1) {
    assert.equal(still.pace(100, 1_000, seconds * 1_000).secondsLeft, null)
  }
  const swinging = new RateWindow()
  for (let seconds = 0; seconds < 7; seconds += 1) swinging.pace(seconds, 10_000, seconds * 1_000)
  assert.equal(swinging.pace(5_000, 10_000, 8_000).secondsLeft, null)
  const endless = new RateWindow()
  for (let seconds = 0; seconds < 9; seconds += 1) {
    assert.equal(endless.pace(seconds * 10, null, seconds * 1_000).secondsLeft, null)
    assert.equal(endless.pace(seconds * 10, 1e12, seconds * 1_000).secondsLeft, null, 'over a week')
  }
})

test('a count that falls belongs to another run, whose pace starts from nothing', () => {
  const window = new RateWindow()
  for (let seconds = 0; seconds < 6; seconds += 1)
    window.pace(seconds * 1_000, null, seconds * 1_000)
  assert.equal(window.pace(100, null, 6_000).ratePerSecond, null)
  assert.equal(window.pace(350, null, 8_500).ratePerSecond, 100)
})

for (let seed = 1; seed <= 50; seed += 1) {
  test(`no rate is negative or above the fastest step, seed ${seed}`, () => {
    const random = seededRandom(seed)
    const window = new RateWindow()
    let count = 0
    let nowMs = 0
    let fastest = 0
    for (let step = 0; step < 400; step += 1) {
      const stepMs = 50 + Math.floor(random() * 500)
      const done = Math.floor(random() * 10_000)
      count += done
      nowMs += stepMs
      fastest = Math.max(fastest, (done / stepMs) * 1_000)
      const { ratePerSecond, secondsLeft } = window.pace(count, 10_000_000, nowMs)
      assert.ok(ratePerSecond === null || (ratePerSecond >= 0 && ratePerSecond <= fastest + 1))
      assert.ok(secondsLeft === null || secondsLeft >= 0)
    }
  })
}
