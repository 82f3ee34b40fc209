import assert from 'node:assert/strict'
import { test } from 'node:test'
import { matchPath, withQuery } from './router.ts'

test('an address gives the names of its pattern', () => {
  assert.deepEqual(matchPath('/sources/:id', '/sources/a%20b'), { id: 'a b' })
  assert.deepEqual(matchPath('/sources', '/sources/'), {})
})

test('an address that is longer, shorter or another does not match', () => {
  assert.equal(matchPath('/sources/:id', '/sources'), null)
  assert.equal(matchPath('/sources/:id', '/sources/a/b'), null)
  assert.equal(matchPath('/sources/:id', '/pools/a'), null)
})

test('a filter that is taken away leaves the address', () => {
  const place = { path: '/operations', query: new URLSearchParams('kind=backup'), hash: '' }
  assert.equal(withQuery(place, { status: 'failed' }), '/operations?kind=backup&status=failed')
  assert.equal(withQuery(place, { kind: '' }), '/operations')
})
