import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Lobby } from './lobby.ts'

test('one address fills its own places and nobody else’s, and gives each back once', () => {
  const lobby = new Lobby()
  const leaves = Array.from({ length: 60 }, () => lobby.enter('192.0.2.1'))
  assert.ok(leaves.every((leave) => leave !== null))
  assert.equal(lobby.enter('192.0.2.1'), null)
  assert.ok(lobby.enter('192.0.2.2'))
  leaves[0]?.()
  leaves[0]?.()
  assert.ok(lobby.enter('192.0.2.1'))
  assert.equal(lobby.enter('192.0.2.1'), null)
})
