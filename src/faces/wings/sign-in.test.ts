import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Access } from './access.ts'
import { SignIn } from './sign-in.ts'

const at = (ms: number) => ({ nowMs: ms, monotonicMs: ms })

const accessUntil = (expiresAtMs: number | null): Access => ({
  may: (permission) => permission === 'backup.read',
  expiresAtMs,
  panel: null,
  again: () => Promise.reject(new Error('not asked here')),
})

test('a socket that nobody signs in on has overstayed after ten seconds', () => {
  const signIn = new SignIn(0)
  assert.equal(signIn.due(at(9_999)), null)
  assert.equal(signIn.due(at(10_000)), 'overstayed')
})

test('an end is announced once, comes once, and takes all permissions', () => {
  const signIn = new SignIn(0)
  signIn.accept(accessUntil(100_000), at(0))
  assert.ok(signIn.may('backup.read', 39_999))
  assert.equal(signIn.due(at(10_000)), null)
  assert.equal(signIn.due(at(40_000)), 'expiring')
  assert.equal(signIn.due(at(40_001)), 'look again')
  assert.equal(signIn.due(at(40_002)), null)
  assert.ok(!signIn.may('backup.read', 100_000), 'before anybody looked')
  assert.equal(signIn.due(at(100_000)), 'expired')
  assert.equal(signIn.due(at(100_500)), null)
  signIn.accept(accessUntil(null), at(101_000))
  assert.ok(signIn.may('backup.read', 101_000))
})

test('a token without an end is looked at every thirty seconds', () => {
  const signIn = new SignIn(0)
  signIn.accept(accessUntil(null), at(0))
  const looks = Array.from({ length: 181 }, (_, index) => signIn.due(at(index * 500)))
  assert.equal(looks.filter((due) => due === 'look again').length, 3)
  assert.equal(looks.filter((due) => due !== null).length, 3)
})

test('after its token a socket has ten minutes for a new one', () => {
  const signIn = new SignIn(0)
  signIn.accept(accessUntil(null), at(0))
  signIn.deny(at(5_000))
  assert.ok(!signIn.isGood(5_000))
  assert.equal(signIn.due(at(60_000)), null)
  assert.equal(signIn.due(at(605_000)), 'overstayed')
})
