import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { OperationWire } from '@holdfast/sdk'
import { statusLook } from './operation-words.ts'
import { verifySentence, warningsName } from './verify-words.ts'

const verify = (input: object, result: object) =>
  ({ kind: 'verify', status: 'completed', intent: null, input, result }) as unknown as OperationWire

const target = { path: '/srv/back' }

test('a folder without a difference is called what was backed up, byte for byte', () => {
  const same = verify({ target }, { damageCount: 0, extraCount: 0, extras: [] })
  assert.equal(verifySentence(same), 'Every byte of /srv/back is what was backed up.')
  assert.equal(warningsName(same), 'Warnings')
  const part = verify({ target, paths: ['a'] }, { damageCount: 0 })
  assert.match(verifySentence(part), /^Every byte of the chosen part of \/srv\/back is/)
})

test('differences are of the folder and not called damages of the snapshot', () => {
  const other = verify({ target }, { damageCount: 1, extraCount: 0 })
  assert.equal(
    verifySentence(other),
    '/srv/back is not what was backed up: 1 difference, listed below.',
  )
  assert.equal(warningsName(other), 'Differences')
  assert.equal(statusLook(other).word, 'Differences found')
  const damaged = verify({}, { damageCount: 1 })
  assert.equal(warningsName(damaged), 'Damages')
  assert.match(verifySentence(damaged), /The snapshot is damaged/)
})

test('what is not in the snapshot is named apart, the first of it', () => {
  const extras = ['a', 'b', 'c', 'd', 'e', 'f'].map((path) => ({ path, type: 'file' }))
  const more = verify({ target }, { damageCount: 0, extraCount: 9, extras })
  assert.match(verifySentence(more), /not in the snapshot: a, b, c, d, e, 4 more\.$/)
})
