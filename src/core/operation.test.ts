import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AppError } from './errors.ts'
import {
  canFollow,
  isFinal,
  LIVE_STATUSES,
  type Operation,
  STATUSES,
  type Status,
  transition,
} from './operation.ts'
import { NO_PROGRESS } from './progress.ts'

const operationIn = (status: Status): Operation => ({
  id: 'o1',
  accountId: 'ann',
  kind: 'backup',
  status,
  statusReason: 'as it was',
  outcome: null,
  priority: 50,
  sourceId: 's1',
  snapshotId: null,
  poolId: null,
  subjects: [],
  input: {},
  result: null,
  failure: null,
  progress: NO_PROGRESS,
  checkpoint: { at: 1 },
  intent: 'pause',
  attempt: 3,
  workerId: 'w1',
  retryOf: null,
  resumedCount: 0,
  bytesNotRedone: 0,
  createdAtMs: 1,
  startedAtMs: status === 'pending' ? null : 2,
  updatedAtMs: 3,
  finishedAtMs: isFinal(status) ? 3 : null,
})

/** The table once more, written by hand: one that is changed must be changed twice. */
const ALLOWED = [
  'pending running',
  'pending paused',
  'pending failed',
  'pending cancelled',
  'pending expired',
  'running pending',
  'running paused',
  'running completed',
  'running failed',
  'running cancelled',
  'running expired',
  'paused pending',
  'paused failed',
  'paused cancelled',
  'paused expired',
]

// Walks the whole table, so that a status added without rules fails here.
for (const from of STATUSES) {
  for (const to of STATUSES) {
    const isAllowed = ALLOWED.includes(`${from} ${to}`)
    test(`${from} -> ${to} is ${isAllowed ? 'allowed' : 'refused'}`, () => {
      assert.equal(canFollow(from, to), isAllowed)
      const before = operationIn(from)
      if (!isAllowed) {
        assert.throws(
          () => transition(before, to, 'because', 10),
          (error) =>
            error instanceof AppError && error.code === 'conflict' && error.message.includes(from),
        )
        return
      }
      const after = transition(before, to, 'because', 10)
      assert.deepEqual([after.status, after.statusReason, after.updatedAtMs], [to, 'because', 10])
      assert.equal(after.finishedAtMs, isFinal(to) ? 10 : null)
      assert.equal(after.workerId, to === 'running' ? 'w1' : null)
      assert.equal(after.intent, to === 'running' ? 'pause' : null)
      assert.deepEqual([after.checkpoint, after.attempt], [before.checkpoint, before.attempt])
    })
  }
}

test('a status is live or final, and nothing leaves a final one', () => {
  for (const status of STATUSES) {
    assert.notEqual(LIVE_STATUSES.includes(status), isFinal(status))
    if (isFinal(status)) assert.ok(!STATUSES.some((to) => canFollow(status, to)))
  }
})

test('startedAtMs is the first start, however often it starts', () => {
  const first = transition(operationIn('pending'), 'running', 'go', 5)
  assert.equal(first.startedAtMs, 5)
  const again = transition(transition(first, 'pending', 'back', 6), 'running', 'go', 7)
  assert.equal(again.startedAtMs, 5)
})
