import assert from 'node:assert/strict'
import { test } from 'node:test'
import { agoText, dayText, durationText, leftText } from './times.ts'

const NOW = Date.parse('2026-05-04T12:00:00Z')

for (const [age, text] of [
  [0, 'just now'],
  [9_999, 'just now'],
  [59_999, '59 seconds ago'],
  [60_000, '1 minute ago'],
  [7_199_999, '1 hour ago'],
  [86_400_000 * 3, '3 days ago'],
  [86_400_000 * 90, '3 months ago'],
] as const) {
  test(`what is ${age} ms old is "${text}"`, () => {
    assert.equal(agoText(NOW - age, NOW), text)
  })
}

test('a moment that a skewed clock puts into the future is just now', () => {
  assert.equal(agoText(NOW + 60_000, NOW), 'just now')
})

test('a guess of the time left is never more exact than it deserves', () => {
  assert.equal(leftText(3), 'a few seconds')
  assert.equal(leftText(41), '45 s')
  assert.equal(leftText(200), 'about 3 min')
  assert.equal(leftText(3 * 3600), 'about 3.0 h')
})

test('a measured duration carries its smaller unit', () => {
  assert.equal(durationText(4_400), '4 s')
  assert.equal(durationText(200_000), '3 min 20 s')
  assert.equal(durationText(7_500_000), '2 h 05 min')
})

test('days that are near are called by their names', () => {
  assert.equal(dayText(new Date(NOW).toISOString(), NOW), 'Today')
  assert.equal(dayText(new Date(NOW - 86_400_000).toISOString(), NOW), 'Yesterday')
  assert.equal(dayText('2026-04-01T11:00:00Z', NOW), '1 Apr')
  assert.equal(dayText('2025-04-01T11:00:00Z', NOW), '1 Apr 2025')
})
