import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sayBytes, sayResumed } from './reasons.ts'

test('bytes are said in powers of 1000 with one digit behind the point', () => {
  const said = [0, 999, 1_000, 1_500, 999_949, 999_950, 3_100_000_000, 2e15, 5e18].map(sayBytes)
  assert.deepEqual(said, [
    '0 B',
    '999 B',
    '1 KB',
    '1.5 KB',
    '999.9 KB',
    '1 MB',
    '3.1 GB',
    '2 PB',
    '5000 PB',
  ])
})

test('says how often a run went on and what it did not do again', () => {
  const said = (resumedCount: number, bytesNotRedone: number) =>
    sayResumed({ resumedCount, bytesNotRedone })
  assert.equal(said(0, 0), null)
  assert.equal(said(1, 0), 'resumed 1 time')
  assert.equal(said(2, 3_100_000_000), 'resumed 2 times, 3.1 GB not done again')
})
