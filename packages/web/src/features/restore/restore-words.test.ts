import assert from 'node:assert/strict'
import { test } from 'node:test'
import { restoredFolder, restoreSentence } from './restore-words.ts'

test('says where how much was written, and that nobody has read it back', () => {
  const result = { files: 25, links: 3, bytes: 603_000_000, target: '/mnt/x', manifest: 'matched' }
  const sentence = restoreSentence({ result })
  assert.match(sentence, /^25 files \(603 MB\) and 3 links were written to \/mnt\/x\. /)
  assert.match(sentence, /the folder itself was not read again/)
})

test('claims no comparison of files where there was no manifest', () => {
  const sentence = restoreSentence({ result: { files: 1, target: '/x', manifest: 'missing' } })
  assert.match(sentence, /^1 file was written to \/x\. /)
  assert.doesNotMatch(sentence, /each file was compared/)
})

test('offers to compare the folder with what was restored of the snapshot', () => {
  const result = { target: '/mnt/x', manifest: 'matched' }
  assert.deepEqual(restoredFolder({ input: {}, result }), { target: { path: '/mnt/x' } })
  const part = restoredFolder({ input: { paths: ['a'] }, result })
  assert.deepEqual(part, { target: { path: '/mnt/x' }, paths: ['a'] })
  const without = { ...result, manifest: 'missing' }
  assert.equal(restoredFolder({ input: {}, result: without }), null)
})

test('claims nothing that the server did not say', () => {
  assert.equal(restoreSentence({ result: null }), 'The restore has finished.')
})
