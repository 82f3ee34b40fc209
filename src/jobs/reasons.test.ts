import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Operation } from '../core/operation.ts'
import { reasons, sayBytes, sayResumed } from './reasons.ts'

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
  assert.equal(said(1, 0), 'resumed once')
  assert.equal(said(2, 3_100_000_000), 'resumed 2 times, 3.1 GB not done again')
})

test('what runs says whether it has run before, and what that saved', () => {
  const waiting = { attempt: 0, checkpoint: null, resumedCount: 0, bytesNotRedone: 0 }
  const said = (changes: object) => reasons.running({ ...waiting, ...changes } as Operation)
  assert.equal(said({}), 'running')
  assert.match(said({ attempt: 1 }), /^running again from the start: .* without a checkpoint$/)
  assert.match(said({ attempt: 1, checkpoint: {} }), /^running again, from the last checkpoint/)
  const resumed = { attempt: 2, checkpoint: {}, resumedCount: 1, bytesNotRedone: 43_000_000 }
  assert.match(said(resumed), /; resumed once, 43 MB not done again$/)
  assert.equal(
    reasons.resumed({ ...waiting, ...resumed } as unknown as Operation),
    'running; resumed once, 43 MB not done again',
  )
})
