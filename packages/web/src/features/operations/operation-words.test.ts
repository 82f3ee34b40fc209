import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { OperationWire } from '@holdfast/sdk'
import { barTone, foundDamage, operationTitle, statusLook } from './operation-words.ts'

const operation = (more: Partial<OperationWire>) =>
  ({ kind: 'backup', status: 'running', intent: null, outcome: null, ...more }) as OperationWire

test('a pause that is not yet honoured is not called paused', () => {
  assert.equal(statusLook(operation({ intent: 'pause' })).word, 'Pausing…')
  assert.equal(statusLook(operation({ status: 'paused' })).word, 'Paused')
})

test('a verify that found damage is not shown as well', () => {
  const verify = operation({
    kind: 'verify',
    status: 'completed',
    outcome: 'warning',
    result: { damageCount: 2 },
  })
  assert.equal(foundDamage(verify), true)
  assert.equal(statusLook(verify).word, 'Damage found')
  assert.equal(barTone(verify, false), 'bad')
  assert.equal(foundDamage({ ...verify, result: { damageCount: 0 } }), false)
})

test('a bar does not seem to move while nobody can know', () => {
  assert.equal(barTone(operation({}), false), 'moving')
  assert.equal(barTone(operation({}), true), 'still')
})

test('an operation without a source is called by its kind alone', () => {
  assert.equal(operationTitle(operation({}), ''), 'Backup')
  assert.equal(operationTitle(operation({ kind: 'file.move' }), 'x'), 'File.move of x')
})
