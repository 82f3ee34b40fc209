import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isUuid, uuidV7 } from './ids.ts'
import { seededRandom } from './random.test-support.ts'

const bytesOf = (random: () => number) => Uint8Array.from({ length: 10 }, () => random() * 256)

test('an id has the version and variant of RFC 9562 and the time in front', () => {
  // RFC 9562, appendix A.6: the example of a UUIDv7.
  const random = Uint8Array.of(0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f)
  assert.equal(uuidV7(0x017f22e279b0, random), '017f22e2-79b0-7cc3-98c4-dc0c0c07398f')
})

test('ids that are made later sort later', () => {
  const random = seededRandom(1)
  let last = ''
  for (let nowMs = 1_700_000_000_000; nowMs < 1_700_000_001_000; nowMs += 1 + random() * 5) {
    const id = uuidV7(Math.floor(nowMs), bytesOf(random))
    assert.ok(isUuid(id), id)
    assert.ok(id > last, `${id} after ${last}`)
    last = id
  }
})

test('only the canonical form is a uuid', () => {
  assert.ok(isUuid('017F22E2-79B0-7CC3-98C4-DC0C0C07398F'))
  for (const text of [
    '',
    '017f22e279b07cc398c4dc0c0c07398f',
    '{017f22e2-79b0-7cc3-98c4-dc0c0c07398f}',
    '017f22e2-79b0-7cc3-98c4-dc0c0c07398',
    '017f22e2-79b0-7cc3-98c4-dc0c0c07398f\n',
    '../17f22e2-79b0-7cc3-98c4-dc0c0c07398f',
  ]) {
    assert.equal(isUuid(text), false, JSON.stringify(text))
  }
})
