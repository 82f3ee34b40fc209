import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseName } from './names.ts'

test('a name is what can be printed, and passes for no other', () => {
  assert.equal(parseName('  Anna’s Fotos 📷 日本 '), 'Anna’s Fotos 📷 日本')
  const signs = ['\0', '\n', '\u001b', '\u007f', '\u009b', '\u061c', '\u200b', '\u200f']
  for (const sign of [...signs, '\u2028', '\u2029', '\u202e', '\u2066', '\ufeff']) {
    assert.throws(() => parseName(`a${sign}b`), { code: 'invalid' }, JSON.stringify(sign))
  }
})
