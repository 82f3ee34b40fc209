import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listRemovals } from '../store/removals.ts'
import { admin, anna, ben, PAGE, setUpCatalog } from './catalog.test-support.ts'

test('a snapshot is read through the reader of its format', async (t) => {
  const { snapshots, addSnapshot } = await setUpCatalog(t)
  await addSnapshot({})
  const page = await snapshots.browse(anna, 'snap-1', { path: '', cursor: null, limit: 10 })
  assert.equal(page.cursor, 'snap-1')
  assert.equal((await snapshots.file(anna, 'snap-1', 'a')).name, 'x')
  assert.equal((await snapshots.whole(anna, 'snap-1')).name, 'x')
  await addSnapshot({ id: 'odd', operationId: 'op-2', format: 'odd' })
  await assert.rejects(snapshots.whole(anna, 'odd'), /cannot read snapshots of the format odd/)
})

test('for others a snapshot is not there, in every verb', async (t) => {
  const { snapshots, reader, addSnapshot } = await setUpCatalog(t)
  await addSnapshot({})
  const absent = { code: 'not_found', message: 'no snapshot snap-1' }
  await assert.rejects(snapshots.get(ben, 'snap-1'), absent)
  const options = { path: '', cursor: null, limit: 10 }
  await assert.rejects(snapshots.browse(ben, 'snap-1', options), absent)
  await assert.rejects(snapshots.file(ben, 'snap-1', 'a'), absent)
  await assert.rejects(snapshots.whole(ben, 'snap-1'), absent)
  await assert.rejects(snapshots.pin(ben, 'snap-1'), absent)
  await assert.rejects(snapshots.unpin(ben, 'snap-1'), absent)
  await assert.rejects(snapshots.remove(ben, 'snap-1'), absent)
  assert.deepEqual(reader.removed, [])
  assert.deepEqual((await snapshots.list(ben, { ...PAGE, accountId: 'anna' })).items, [])
  assert.equal((await snapshots.list(admin, PAGE)).items.length, 1)
  assert.equal((await snapshots.get(admin, 'snap-1')).id, 'snap-1')
})

test('removing takes the objects and the record, and tells of it', async (t) => {
  const { snapshots, reader, addSnapshot, events, audited } = await setUpCatalog(t)
  await addSnapshot({})
  await snapshots.remove(anna, 'snap-1')
  assert.deepEqual(reader.removed, ['snap-1'])
  await assert.rejects(snapshots.get(anna, 'snap-1'), { code: 'not_found' })
  assert.deepEqual(await events(), ['snapshot snap-1 deleted'])
  assert.deepEqual(await audited(), ['anna snapshot.remove snap-1'])
})

test('a pinned snapshot stays until it is unpinned', async (t) => {
  const { snapshots, reader, addSnapshot, events } = await setUpCatalog(t)
  await addSnapshot({})
  assert.equal((await snapshots.pin(anna, 'snap-1')).pinned, true)
  await assert.rejects(snapshots.remove(anna, 'snap-1'), {
    code: 'conflict',
    message: 'the snapshot snap-1 is pinned; unpin it first',
  })
  assert.deepEqual(reader.removed, [])
  assert.equal((await snapshots.unpin(anna, 'snap-1')).pinned, false)
  await snapshots.remove(anna, 'snap-1')
  const changed = 'snapshot snap-1 changed'
  assert.deepEqual(await events(), [changed, changed, 'snapshot snap-1 deleted'])
})

test('a snapshot that a live operation works with is busy, one of an ended one is not', async (t) => {
  const { snapshots, reader, addSnapshot, addOperation } = await setUpCatalog(t)
  await addSnapshot({})
  await addOperation({ id: 'restore', kind: 'restore', snapshotId: 'snap-1', status: 'running' })
  await assert.rejects(snapshots.remove(anna, 'snap-1'), {
    code: 'conflict',
    details: { subject: 'snapshot snap-1', operationId: 'restore' },
  })
  assert.deepEqual(reader.removed, [])
  await addSnapshot({ id: 'snap-2', operationId: 'op-2' })
  await addOperation({ id: 'old', kind: 'verify', snapshotId: 'snap-2', status: 'failed' })
  await snapshots.remove(anna, 'snap-2')
})

test('a removal whose objects could not go is gone for people, and finished later', async (t) => {
  const { snapshots, reader, database, addSnapshot } = await setUpCatalog(t)
  await addSnapshot({})
  await addSnapshot({ id: 'snap-2', operationId: 'op-2' })
  const { remove } = reader
  reader.remove = () => Promise.reject(new Error('the pool is away'))
  await snapshots.remove(anna, 'snap-1')
  await snapshots.remove(anna, 'snap-2')
  await assert.rejects(snapshots.get(anna, 'snap-1'), { code: 'not_found' })
  await snapshots.finishRemovals()
  assert.deepEqual(reader.removed, [])
  reader.remove = remove
  await snapshots.finishRemovals()
  assert.deepEqual(reader.removed, ['snap-1', 'snap-2'])
  await snapshots.finishRemovals()
  assert.equal(reader.removed.length, 2)
  assert.deepEqual(await listRemovals(database.sql, { after: '', limit: 10 }), [])
})

test('a refused removal leaves the record and remembers nothing to remove', async (t) => {
  const { snapshots, reader, addSnapshot, addOperation, events } = await setUpCatalog(t)
  const snapshot = await addSnapshot({})
  await addOperation({ id: 'verify', kind: 'verify', snapshotId: 'snap-1' })
  await assert.rejects(snapshots.remove(anna, 'snap-1'), { code: 'conflict' })
  assert.deepEqual(await snapshots.get(anna, 'snap-1'), snapshot)
  await snapshots.finishRemovals()
  assert.deepEqual(reader.removed, [])
  assert.deepEqual(await events(), [])
})
