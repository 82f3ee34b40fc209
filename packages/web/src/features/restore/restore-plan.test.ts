import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SnapshotWire } from '@holdfast/sdk'
import { cliOf, isReady, planSentence, type RestorePlan, toRequest } from './restore-plan.ts'

const PLAN: RestorePlan = {
  what: 'all',
  paths: [],
  where: 'elsewhere',
  path: '/mnt/x',
  mode: 'merge',
}
const SNAPSHOT = { itemCount: 12, contentBytes: 3_100_000_000 } as SnapshotWire

test('everything elsewhere names no paths', () => {
  assert.deepEqual(toRequest(PLAN), { mode: 'merge', target: { path: '/mnt/x' } })
})

test('in place names no target', () => {
  const plan: RestorePlan = { ...PLAN, where: 'original', what: 'selected', paths: ['a/b'] }
  assert.deepEqual(toRequest(plan), { mode: 'merge', paths: ['a/b'] })
})

test('cannot start without a place, or with nothing selected', () => {
  assert.equal(isReady({ ...PLAN, path: ' ' }), false, 'no place')
  assert.equal(isReady({ ...PLAN, what: 'selected' }), false, 'nothing selected')
  assert.equal(isReady(PLAN), true)
})

test('says beforehand that replacing removes what is there', () => {
  const sentence = planSentence({ ...PLAN, mode: 'replace' }, SNAPSHOT, '/srv/photos')
  assert.match(sentence, /^12 files \(3\.10 GB\) will be written to \/mnt\/x\./)
  assert.match(sentence, /is gone/)
})

test('quotes what a shell would take apart', () => {
  const plan: RestorePlan = { ...PLAN, what: 'selected', paths: ["it's here"] }
  assert.equal(
    cliOf(plan, 's1'),
    `holdfast restore s1 --to /mnt/x --mode merge --path 'it'\\''s here'`,
  )
})
