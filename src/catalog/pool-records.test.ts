import assert from 'node:assert/strict'
import { test } from 'node:test'
import { admin, anna, PAGE, setUpCatalog } from './catalog.test-support.ts'

const NAS = {
  id: 'nas',
  accountId: 'anna',
  name: 'NAS',
  kind: 'local',
  config: { path: '/mnt/nas' },
  createdAtMs: 1,
}

test('a pool is kept, listed for its account and for everybody, and forgotten', async (t) => {
  const { poolRecords, events, audited } = await setUpCatalog(t)
  await poolRecords.insert(anna, NAS)
  await poolRecords.insert(admin, { ...NAS, id: 'ours', accountId: null, createdAtMs: 2 })
  await assert.rejects(poolRecords.insert(anna, NAS), { code: 'conflict' })
  assert.deepEqual(await poolRecords.find('nas'), NAS)
  const idsOf = async (accountId: string | null) =>
    (await poolRecords.list({ ...PAGE, accountId })).items.map(({ id }) => id)
  assert.deepEqual(await idsOf('anna'), ['ours', 'nas'])
  assert.deepEqual(await idsOf('ben'), ['ours'])
  assert.deepEqual(await idsOf(null), ['ours', 'nas'])
  await poolRecords.delete(anna, NAS)
  assert.equal(await poolRecords.find('nas'), null)
  await assert.rejects(poolRecords.delete(anna, NAS), { code: 'not_found' })
  assert.deepEqual(await events(), ['pool nas created', 'pool ours created', 'pool nas deleted'])
  assert.equal((await audited()).at(-1), 'anna pool.remove nas')
})

test('a pool in use stays, and the refusal names what uses it', async (t) => {
  const { poolRecords, addSnapshot, addOperation, snapshots } = await setUpCatalog(t)
  await poolRecords.insert(anna, NAS)
  await addSnapshot({ poolId: 'nas' })
  await assert.rejects(
    poolRecords.delete(anna, NAS),
    /snapshots rest in the pool nas, such as snap-1/,
  )
  await snapshots.remove(anna, 'snap-1')
  await addOperation({ id: 'live', poolId: 'nas' })
  await assert.rejects(poolRecords.delete(anna, NAS), /pool nas is busy: operation live/)
})

test('usage counts the snapshots of this pool and no others', async (t) => {
  const { poolRecords, addSnapshot } = await setUpCatalog(t)
  assert.deepEqual(await poolRecords.usage('nas'), { usedBytes: 0, snapshotCount: 0 })
  for (const [id, poolId] of [
    ['a', 'nas'] as const,
    ['b', 'nas'] as const,
    ['c', 'local'] as const,
  ]) {
    await addSnapshot({ id, operationId: id, poolId, bytes: 100 })
  }
  assert.deepEqual(await poolRecords.usage('nas'), { usedBytes: 200, snapshotCount: 2 })
})
