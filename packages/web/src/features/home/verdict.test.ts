import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { OperationWire, SnapshotWire, SourceWire } from '@holdfast/sdk'
import { byUrgency, judge, type SourceState } from './source-state.ts'
import { verdictOf } from './verdict.ts'

const NOW = Date.parse('2026-05-04T12:00:00Z')
const minutesAgo = (minutes: number): string => new Date(NOW - minutes * 60_000).toISOString()

const source = (name: string) => ({ id: name, name, config: {} }) as SourceWire

const snapshot = (minutes: number, verifiedWell: boolean | null = null) =>
  ({ createdAt: minutesAgo(minutes), verifiedWell }) as SnapshotWire

const backup = (status: OperationWire['status'], more: Partial<OperationWire> = {}) =>
  ({
    status,
    statusReason: status,
    outcome: status === 'completed' ? 'success' : null,
    error: null,
    finishedAt: minutesAgo(120),
    ...more,
  }) as OperationWire

const good = (name: string, minutes: number): SourceState =>
  judge(source(name), [backup('completed')], snapshot(minutes))

const full = backup('failed', { error: { code: 'no_room', message: 'disk full', details: {} } })

test('says that all is well, and since when', () => {
  const verdict = verdictOf([good('a', 60), good('b', 2), good('c', 9)], NOW)
  assert.equal(verdict.sentence, 'All 3 folders are protected; last backup 2 minutes ago.')
  assert.equal(verdict.tone, 'good')
})

test('names the only folder instead of counting it', () => {
  assert.match(verdictOf([good('photos', 2)], NOW).sentence, /^photos is protected; /)
})

test('a failure is said before everything that is well, with its reason', () => {
  const failed = judge(source('photos'), [full], snapshot(3000))
  const verdict = verdictOf([good('a', 1), failed], NOW)
  assert.equal(verdict.sentence, 'Backup of photos failed 2 hours ago: disk full.')
  assert.match(verdict.detail, /^Earlier snapshots/)
})

test('does not promise earlier snapshots where there are none', () => {
  assert.match(verdictOf([judge(source('a'), [full], null)], NOW).detail, /no earlier snapshot/)
})

test('a folder whose failed backup runs again is not called failed', () => {
  assert.equal(judge(source('a'), [backup('running'), full], snapshot(9)).name, 'protected')
})

test('a damaged snapshot is never called protected', () => {
  const state = judge(source('a'), [backup('completed')], snapshot(1, false))
  assert.equal(state.name, 'damaged')
  assert.equal(verdictOf([state], NOW).tone, 'bad')
})

test('a first backup protects nothing before it has ended', () => {
  assert.equal(judge(source('a'), [backup('running')], null).name, 'first')
  assert.equal(judge(source('a'), [], null).name, 'unprotected')
})

test('the worst stands first', () => {
  const failed = judge(source('z'), [full], snapshot(1))
  const states = [good('a', 1), judge(source('b'), [], null), failed].sort(byUrgency)
  assert.deepEqual(
    states.map(({ name }) => name),
    ['failed', 'unprotected', 'protected'],
  )
})
