import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isUuid } from '../core/ids.ts'
import { createIds } from './ids.ts'

const clockAt = (...times: number[]) => {
  let index = 0
  return { nowMs: () => times[Math.min(index++, times.length - 1)] ?? 0 }
}

const take = (count: number, ids: { newId(): string }) =>
  Array.from({ length: count }, () => ids.newId())

const assertRising = (made: readonly string[]) => {
  assert.deepEqual(made, [...made].sort())
  assert.equal(new Set(made).size, made.length)
}

test('ids of one millisecond rise, however many there are', () => {
  const made = take(20_000, createIds(clockAt(1_000)))
  assertRising(made)
  assert.ok(made.every(isUuid))
  assert.ok(made.every((id) => id[14] === '7' && '89ab'.includes(id[19] ?? '')))
})

test('ids rise on while the clock is set back', () => {
  assertRising(take(6, createIds(clockAt(5_000, 6_000, 1_000, 2_000, 6_000, 6_001))))
})

test('an id carries the time it was made at', () => {
  const id = createIds(clockAt(1_700_000_000_123)).newId()
  assert.equal(Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16), 1_700_000_000_123)
})

test('two makers at one time make different ids', () => {
  assert.notEqual(createIds(clockAt(1)).newId(), createIds(clockAt(1)).newId())
})
