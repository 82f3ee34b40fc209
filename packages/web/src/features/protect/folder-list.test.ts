import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hiddenLast, parentOf } from './folder-list.ts'

test('hidden folders stand behind the others, each in the order that was given', () => {
  const folders = ['.cache', 'a', '.ssh', 'b'].map((name) => ({ name, path: `/${name}` }))
  assert.deepEqual(
    hiddenLast(folders).map(({ name }) => name),
    ['a', 'b', '.cache', '.ssh'],
  )
})

test('the parent of a path ends at the root', () => {
  assert.equal(parentOf('/srv/photos/2024'), '/srv/photos')
  assert.equal(parentOf('/srv/photos/'), '/srv')
  assert.equal(parentOf('/srv'), '/')
  assert.equal(parentOf('/'), '/')
})
