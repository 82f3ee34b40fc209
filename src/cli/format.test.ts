import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  formatBytes,
  formatSeconds,
  formatTable,
  printable,
  shortenPath,
  widthOfText,
} from './format.ts'

for (const [bytes, text] of [
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1.00 KiB'],
  [10_239, '10.0 KiB'],
  [1_048_575, '1.00 MiB'],
  [150 * 1024 ** 2, '150 MiB'],
  [5 * 1024 ** 4, '5.00 TiB'],
] as const) {
  test(`${bytes} bytes are ${text}`, () => assert.equal(formatBytes(bytes), text))
}

for (const [seconds, text] of [
  [0, '0:00'],
  [59.6, '1:00'],
  [3599, '59:59'],
  [3600, '1:00:00'],
  [90_000, '1d 1h'],
] as const) {
  test(`${seconds} seconds are ${text}`, () => assert.equal(formatSeconds(seconds), text))
}

test('counts the columns of wide, combined and zero-width characters', () => {
  assert.equal(widthOfText('abc'), 3)
  assert.equal(widthOfText('漢字'), 4)
  assert.equal(widthOfText('e\u0301'), 1)
  assert.equal(widthOfText('👍🏽'), 2)
  assert.equal(widthOfText('a\u200bb'), 2)
})

test('a name cannot steer the terminal or turn the text around', () => {
  assert.equal(printable('a\u001b]0;title\u0007b\r\n\u202efdp.exe'), 'a?]0;title?b???fdp.exe')
  assert.equal(printable('a\u009b2J\u061c\u200b\u200f\u2029\u2067\ufeffb'), 'a?2J??????b')
})

test('never cuts a character in two', () => {
  assert.equal(shortenPath('漢字漢字', 4), '…字')
  assert.equal(shortenPath('👩‍👩‍👧x', 2), '…x')
  assert.equal(shortenPath('abc', 1), '')
})

test('a table lines up by what is seen', () => {
  assert.deepEqual(
    formatTable([
      ['a', '漢', 'x'],
      ['bbb', 'c', 'y'],
    ]),
    ['a    漢  x', 'bbb  c   y'],
  )
})
