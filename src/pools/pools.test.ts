import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, stat, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Caller } from '../core/account.ts'
import type { PoolRecord } from '../core/pool.ts'
import { realPathOf } from '../platform/files.ts'
import { createIds } from '../platform/ids.ts'
import { LocalPool } from './local.ts'
import { put } from './pool.contract.ts'
import { type PoolRecords, Pools } from './pools.ts'

const clock = { nowMs: () => 1_000 }
const PAGE = { limit: 50, cursor: null }

const caller = (accountId: string, ...permissions: string[]): Caller => ({
  accountId,
  name: accountId,
  permissions,
  tokenId: null,
  expiresAtMs: null,
})
const anna = caller('anna', '*')
const ben = caller('ben', '*')
const admin = caller('admin', 'admin')

/** Keeps records in memory: the catalog has its own tests for those in the store. */
class RememberedRecords implements PoolRecords {
  readonly #records = new Map<string, PoolRecord>()

  async find(id: string) {
    return this.#records.get(id) ?? null
  }

  async list({ accountId }: { accountId: string | null }) {
    const all = [...this.#records.values()]
    const items = all.filter(
      (one) => accountId === null || one.accountId === null || one.accountId === accountId,
    )
    return { items, nextCursor: null }
  }

  async insert(_caller: Caller, record: PoolRecord) {
    this.#records.set(record.id, record)
  }

  async update(_caller: Caller, record: PoolRecord) {
    this.#records.set(record.id, record)
  }

  async delete(_caller: Caller, record: PoolRecord) {
    this.#records.delete(record.id)
  }

  async usage() {
    return { usedBytes: 0, snapshotCount: 0 }
  }
}

async function setUp(t: TestContext, kinds?: ConstructorParameters<typeof Pools>[0]['kinds']) {
  const folder = await realPathOf(await mkdtemp(join(tmpdir(), 'holdfast-pools-')))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const dataFolder = join(folder, 'data')
  const records = new RememberedRecords()
  const options = { records, dataFolder, clock, ids: createIds(clock), reserveBytes: 0 }
  return { folder, dataFolder, pools: new Pools(kinds ? { ...options, kinds } : options) }
}

test('the pool local is always there, first in the list, and cannot be removed', async (t) => {
  const { pools, dataFolder } = await setUp(t)
  assert.equal(pools.defaultPoolId, 'local')
  await put(await pools.open('local'), 'a/b', 'x')
  assert.ok((await stat(join(dataFolder, 'pool/a/b'))).isFile())
  const { items } = await pools.list(anna, PAGE)
  assert.deepEqual(
    items.map(({ id, kind, accountId }) => [id, kind, accountId]),
    [['local', 'local', null]],
  )
  assert.ok((items[0]?.freeBytes ?? 0) > 0)
  assert.ok((items[0]?.createdAtMs ?? 0) > 0)
  await assert.rejects(pools.remove(admin, 'local'), { code: 'conflict' })
  const request = { id: 'local', name: 'x', kind: 'local', config: { path: '/srv/x' } }
  await assert.rejects(pools.create(admin, request), { code: 'conflict' })
})

test('a pool in a folder of one’s own holds objects, and its folder outlives it', async (t) => {
  const { pools, folder } = await setUp(t)
  const path = join(folder, 'nas')
  const made = await pools.create(anna, {
    id: 'nas',
    name: ' NAS ',
    kind: 'local',
    config: { path },
  })
  assert.deepEqual([made.id, made.name, made.accountId], ['nas', 'NAS', 'anna'])
  await put(await pools.open('nas'), 'k', 'x')
  assert.deepEqual(await pools.folders(), [join(folder, 'data/pool'), path])
  await pools.remove(anna, 'nas')
  assert.ok((await stat(join(path, 'k'))).isFile())
  await assert.rejects(pools.open('nas'), { code: 'not_found' })
})

test('a pool of another account is not there, one of everybody is', async (t) => {
  const { pools, folder } = await setUp(t)
  const request = { kind: 'local', name: 'x' }
  await pools.create(anna, { ...request, id: 'hers', config: { path: join(folder, 'hers') } })
  const shared = { ...request, id: 'ours', config: { path: join(folder, 'ours') }, shared: true }
  await assert.rejects(pools.create(anna, shared), { code: 'forbidden' })
  await pools.create(admin, shared)
  await assert.rejects(pools.get(ben, 'hers'), { code: 'not_found' })
  await assert.rejects(pools.remove(ben, 'hers'), { code: 'not_found' })
  await assert.rejects(pools.remove(ben, 'ours'), { code: 'forbidden' })
  assert.deepEqual(
    (await pools.list(ben, PAGE)).items.map(({ id }) => id),
    ['local', 'ours'],
  )
  assert.equal((await pools.list(admin, PAGE)).items.length, 3)
})

test('a pool around or within the data folder is refused, through links as well', async (t) => {
  const { pools, folder, dataFolder } = await setUp(t)
  await pools.open('local')
  await pools.get(anna, 'local')
  await symlink(dataFolder, join(folder, 'link'))
  const paths = [dataFolder, join(dataFolder, 'x'), folder, '/', join(folder, 'link/x')]
  for (const path of [...paths, 'relative', '', 'a\0b']) {
    const request = { name: 'x', kind: 'local', config: { path } }
    await assert.rejects(pools.create(anna, request), { code: 'invalid' }, path)
  }
  const odd = { name: 'x', kind: 'local', config: { path: '/srv/x', bucket: 'y' } }
  await assert.rejects(pools.create(anna, odd), /has no bucket/)
})

test('a pool in, around or at a folder that is protected or a pool already is refused', async (t) => {
  const { pools: plain, folder, dataFolder } = await setUp(t)
  const world = join(folder, 'u/world')
  await mkdir(world, { recursive: true })
  const records = new RememberedRecords()
  const allowed: string[] = []
  const pools = new Pools({
    ...{ records, dataFolder, clock, ids: createIds(clock), reserveBytes: 0 },
    sourceFolders: async () => [join(folder, 'gone'), world],
    assertAllowedPath: async (caller, path) => void allowed.push(`${caller.accountId} ${path}`),
  })
  const create = (path: string) =>
    pools.create(anna, { name: 'x', kind: 'local', config: { path: join(folder, path) } })
  for (const path of ['u/world', 'u/world/in', 'u', 'gone/x']) {
    await assert.rejects(create(path), { code: 'invalid', message: /protected here/ }, path)
  }
  await symlink(world, join(folder, 'way'))
  await assert.rejects(create('way/in'), /protected here/)
  await create('p/one')
  for (const path of ['p/one', 'p/one/in', 'p']) {
    await assert.rejects(create(path), { code: 'invalid', message: /of another pool/ }, path)
  }
  assert.equal(allowed.at(-1), `anna ${join(folder, 'p')}`)
  await assert.rejects(stat(join(folder, 'gone')), 'it was made all the same')
  const nowhere = { name: 'x', kind: 'local', config: { path: '/proc/holdfast/x' } }
  await assert.rejects(plain.create(anna, nowhere), /no folder can be made at .* \(ENOENT\)/)
})

test('another kind of pool needs somebody who opens it', async (t) => {
  const { pools } = await setUp(t)
  const request = { id: 'far', name: 'x', kind: 'far', config: {} }
  await assert.rejects(pools.create(anna, request), /no pools of kind "far" here; there are: local/)
  const root = join(tmpdir(), 'never-made')
  const far = { parse: async () => ({ a: 1 }), open: () => new LocalPool({ id: 'far', root }) }
  const other = await setUp(t, new Map([['far', far]]))
  assert.deepEqual((await other.pools.create(anna, request)).config, { a: 1 })
  assert.equal((await other.pools.open('far')).id, 'far')
  await rm(root, { recursive: true, force: true })
})

test('a pool is renamed by whose it is; that of everybody by admins, the first one by nobody', async (t) => {
  const { pools, folder } = await setUp(t)
  const config = { path: join(folder, 'second') }
  const own = await pools.create(anna, { name: 'second', kind: 'local', config })
  assert.equal((await pools.rename(anna, own.id, ' Cellar ')).name, 'Cellar')
  assert.equal((await pools.get(anna, own.id)).name, 'Cellar')
  await assert.rejects(pools.rename(ben, own.id, 'x'), { code: 'not_found' })
  await assert.rejects(pools.rename(admin, 'local', 'x'), { code: 'conflict' })
  const shared = await pools.create(admin, {
    ...{ name: 'all', kind: 'local', shared: true },
    config: { path: join(folder, 'third') },
  })
  await assert.rejects(pools.rename(anna, shared.id, 'x'), { code: 'forbidden' })
  assert.equal((await pools.rename(admin, shared.id, 'x')).name, 'x')
})
