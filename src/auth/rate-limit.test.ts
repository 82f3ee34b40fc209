import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RateLimit } from './rate-limit.ts'

test('a burst passes, then one for each part of a second', () => {
  const limit = new RateLimit({ burst: 3, perSecond: 2 })
  assert.deepEqual(
    [0, 0, 0].map((atMs) => limit.take('a', atMs)),
    [null, null, null],
  )
  assert.equal(limit.take('a', 0), 500)
  assert.equal(limit.take('a', 250), 250)
  assert.equal(limit.take('a', 500), null)
  assert.equal(limit.take('a', 500), 500)
})

test('a refusal costs nothing: asking on does not push the end away', () => {
  const limit = new RateLimit({ burst: 1, perSecond: 1 })
  limit.take('a', 0)
  for (let atMs = 0; atMs < 1000; atMs += 10) assert.notEqual(limit.take('a', atMs), null)
  assert.equal(limit.take('a', 1000), null)
})

test('what was not used is kept up to the burst and no further', () => {
  const limit = new RateLimit({ burst: 2, perSecond: 1 })
  limit.take('a', 0)
  const taken = [1e9, 1e9, 1e9].map((atMs) => limit.take('a', atMs))
  assert.deepEqual(taken, [null, null, 1000])
})

test('one key takes nothing from another', () => {
  const limit = new RateLimit({ burst: 1, perSecond: 1 })
  limit.take('a', 0)
  assert.equal(limit.take('b', 0), null)
})

test('a clock that stands still or falls gives nothing and breaks nothing', () => {
  const limit = new RateLimit({ burst: 1, perSecond: 1 })
  limit.take('a', 5000)
  assert.equal(limit.take('a', 1000), 1000)
})

test('memory is bounded; the key that was quiet longest is forgotten first', () => {
  const limit = new RateLimit({ burst: 1, perSecond: 1, keysMax: 2 })
  limit.take('a', 0)
  limit.take('b', 0)
  limit.take('a', 0)
  limit.take('c', 0)
  assert.equal(limit.keyCount, 2)
  assert.notEqual(limit.take('a', 0), null)
  assert.equal(limit.take('b', 0), null)
  for (let index = 0; index < 1000; index += 1) limit.take(`${index}`, 0)
  assert.equal(limit.keyCount, 2)
})
