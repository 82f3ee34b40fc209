import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from './random.test-support.ts'
import { buckets, fixedInterval, type Said, stepAndInterval, Throttle } from './throttle.ts'

const at = (atMs: number, percent: number | null, count = 0): Said => ({ atMs, percent, count })
const wings = stepAndInterval({ minPercent: 1, minCount: 10, minIntervalMs: 500 })

test('holds back what is too soon or too small a step', () => {
  const throttle = new Throttle(wings)
  assert.equal(throttle.admit(at(0, 0)), true, 'the first')
  assert.equal(throttle.admit(at(499, 9)), false, 'too soon')
  assert.equal(throttle.admit(at(500, 0)), false, 'under one percent')
  assert.equal(throttle.admit(at(500, 1)), true)
})

test('takes a step of the count where no percent is known', () => {
  const throttle = new Throttle(wings)
  throttle.admit(at(0, null, 0))
  assert.equal(throttle.admit(at(1_000, null, 9)), false, 'too small a step')
  assert.equal(throttle.admit(at(1_000, null, 10)), true)
  assert.equal(throttle.admit(at(1_400, null, 30)), false, 'too soon')
})

test('buckets say each bucket once, and 100', () => {
  const throttle = new Throttle(buckets(5))
  const said = []
  for (let percent = 0; percent <= 100; percent += 1) {
    if (throttle.admit(at(percent, percent))) said.push(percent)
  }
  assert.deepEqual(
    said,
    Array.from({ length: 21 }, (_, bucket) => bucket * 5),
  )
  assert.equal(throttle.admit(at(200, null)), false, 'without a percent there is no bucket')
})

test('a fixed interval says the newest once every interval', () => {
  const throttle = new Throttle(fixedInterval(10_000))
  const times = [0, 1, 9_999, 10_000, 10_001, 20_000].filter((ms) => throttle.admit(at(ms, 1)))
  assert.deepEqual(times, [0, 10_000, 20_000])
})

for (let seed = 1; seed <= 50; seed += 1) {
  test(`what is said is never closer than both steps allow, seed ${seed}`, () => {
    const random = seededRandom(seed)
    const throttle = new Throttle(wings)
    const said: Said[] = []
    let atMs = 0
    let percent = 0
    for (let step = 0; step < 300; step += 1) {
      atMs += Math.floor(random() * 400)
      percent = Math.min(99, percent + Math.floor(random() * 2))
      if (throttle.admit(at(atMs, percent))) said.push(at(atMs, percent))
    }
    for (const [index, next] of said.entries()) {
      const last = said[index - 1]
      if (last === undefined) continue
      assert.ok(next.atMs - last.atMs >= 500)
      assert.ok((next.percent ?? 0) - (last.percent ?? 0) >= 1)
    }
  })
}
