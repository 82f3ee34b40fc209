import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytesText, countOf, rateText, UNKNOWN } from './amounts.ts'

for (const [bytes, text] of [
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1.00 kB'],
  [999_600, '1.00 MB'],
  [12_345_678, '12.3 MB'],
  [3_100_000_000, '3.10 GB'],
  [412_000_000_000, '412 GB'],
] as const) {
  test(`${bytes} bytes are written ${text}`, () => {
    assert.equal(bytesText(bytes), text)
  })
}

test('what is unknown is not written as a figure', () => {
  assert.equal(bytesText(null), UNKNOWN)
  assert.equal(rateText(null), UNKNOWN)
})

test('one is not many', () => {
  assert.equal(countOf(1, 'file'), '1 file')
  assert.equal(countOf(12_000, 'file'), '12,000 files')
})
