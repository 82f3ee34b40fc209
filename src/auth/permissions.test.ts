import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Caller } from '../core/account.ts'
import { actorOf, isAdmin, listedAccount, may, PERMISSIONS, sees } from '../core/permissions.ts'
import { assertMay } from './permissions.ts'

const callerWith = (...permissions: string[]): Caller => ({
  accountId: 'anna',
  name: 'Anna',
  permissions,
  tokenId: null,
  expiresAtMs: null,
})

test('a permission grants itself and nothing else', () => {
  for (const given of PERMISSIONS) {
    for (const wanted of PERMISSIONS) {
      assert.equal(may(callerWith(given), wanted), given === wanted, `${given} for ${wanted}`)
    }
  }
})

test('* grants all but what begins with admin, admin grants everything', () => {
  for (const wanted of [...PERMISSIONS, 'admin', 'admin.websocket.errors', 'anything']) {
    assert.equal(may(callerWith('*'), wanted), !wanted.startsWith('admin'), wanted)
    assert.equal(may(callerWith('admin'), wanted), true, wanted)
    assert.equal(may(callerWith(), wanted), false, wanted)
  }
  assert.equal(isAdmin(callerWith('*')), false)
  assert.equal(isAdmin(callerWith('admin.accounts', 'admin.audit')), false)
})

test('records of others are there for admins alone', () => {
  assert.equal(sees(callerWith('*'), 'anna'), true)
  assert.equal(sees(callerWith('*'), 'ben'), false)
  assert.equal(sees(callerWith('admin'), 'ben'), true)
  assert.equal(listedAccount(callerWith('*'), 'ben'), 'anna')
  assert.equal(listedAccount(callerWith('*')), 'anna')
  assert.equal(listedAccount(callerWith('admin')), null)
  assert.equal(listedAccount(callerWith('admin'), 'ben'), 'ben')
})

test('a refusal names what is missing', () => {
  assert.throws(() => assertMay(callerWith('sources.read'), 'sources.write'), {
    code: 'forbidden',
    message: 'this token may not do that: it lacks sources.write',
  })
  assertMay(callerWith('*'), 'sources.write')
})

test('the actor is told by name and token id', () => {
  assert.equal(actorOf(callerWith()), 'Anna')
  assert.equal(actorOf({ ...callerWith(), tokenId: 't1' }), 'Anna (token t1)')
})
