import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MessageLimits } from './message-limits.ts'

test('a third auth within five seconds is refused, and told once', () => {
  const limits = new MessageLimits()
  assert.equal(limits.admit('auth', 0), null)
  assert.equal(limits.admit('auth', 10), null)
  assert.deepEqual(limits.admit('auth', 20), { scope: 'auth', tell: true })
  assert.deepEqual(limits.admit('auth', 30), { scope: 'auth', tell: false })
  assert.equal(limits.admit('auth', 5_100), null)
})

test('an eleventh message in a row is refused whatever it is', () => {
  const limits = new MessageLimits()
  for (let index = 0; index < 10; index += 1) limits.admit('send command', 0)
  assert.deepEqual(limits.admit('send stats', 0), { scope: 'global', tell: true })
})
