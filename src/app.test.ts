import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type Core, openCore } from './app.ts'
import { parseConfig } from './config.ts'
import type { Caller } from './core/account.ts'
import type { JsonObject } from './core/json.ts'
import type { OperationKind } from './core/kinds.ts'
import type { Operation } from './core/operation.ts'
import { createLog } from './platform/log.ts'

let folder: string
let core: Core
let caller: Caller
let sourceId: string
let snapshotId: string

const config = () => parseConfig({ HOLDFAST_DATA: join(folder, 'data') })

async function open(): Promise<void> {
  core = await openCore(config(), { log: createLog('error') })
  caller = await core.auth.adminCaller()
  await core.sweep()
  await core.worker.start()
}

async function run(kind: OperationKind, input: JsonObject, more: object = {}): Promise<Operation> {
  const { id } = await core.jobs.submit(caller, { kind, input, ...more })
  const { signal } = new AbortController()
  return core.jobs.waitForEnd(caller, id, { timeoutMs: 30_000, signal })
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-app-'))
  await mkdir(join(folder, 'tree'))
  await writeFile(join(folder, 'tree', 'a'), 'content')
  await open()
  const source = await core.sources.create(caller, {
    kind: 'directory',
    name: 'tree',
    deviceId: null,
    config: { path: join(folder, 'tree') },
  })
  sourceId = source.id
  const made = await run('backup', {}, { sourceId })
  assert.equal(made.status, 'completed')
  snapshotId = made.snapshotId ?? ''
})
after(async () => {
  await core.close()
  await rm(folder, { recursive: true })
})

test('a restored folder is compared, and the snapshot is called verified only by a verify of itself', async () => {
  const target = { path: join(folder, 'back') }
  assert.equal((await run('restore', { snapshotId, target })).status, 'completed')
  const same = await run('verify', { snapshotId, target })
  assert.deepEqual(
    [same.status, same.outcome, same.result?.['damageCount']],
    ['completed', 'success', 0],
  )
  await writeFile(join(target.path, 'a'), 'CONTENT')
  const other = await run('verify', { snapshotId, target })
  assert.deepEqual(
    [other.status, other.outcome, other.result?.['damageCount']],
    ['completed', 'warning', 1],
  )
  assert.equal((await core.snapshots.get(caller, snapshotId)).verifiedWell, null)
  assert.equal((await run('verify', { snapshotId })).outcome, 'success')
  assert.equal((await core.snapshots.get(caller, snapshotId)).verifiedWell, true)
})

test('nothing is restored into, compared with or protected in a pool that was made a moment ago', async () => {
  const path = join(folder, 'later')
  await core.pools.create(caller, { name: 'later', kind: 'local', config: { path } })
  await mkdir(join(path, 'x'), { recursive: true })
  const target = { path: join(path, 'x') }
  for (const kind of ['restore', 'verify'] as const) {
    const input = { snapshotId, target }
    const refused = core.jobs.submit(caller, { kind, input })
    await assert.rejects(refused, { code: 'invalid', message: /inside the data of Holdfast/ })
  }
  const source = { kind: 'directory', name: 'x', config: target } as const
  await assert.rejects(core.sources.create(caller, source), /its own data or backups/)
})

test('a start removes what ended operations had left staged, and leaves the rest', async () => {
  const staging = join(folder, 'data', 'pool', '.staging')
  const { items } = await core.jobs.list(caller, { limit: 10, cursor: null, kinds: ['backup'] })
  const left = `${items[0]?.id}-1.archive`
  const unknown = `${randomUUID()}-1.archive`
  await mkdir(staging, { recursive: true })
  for (const name of [left, unknown]) await writeFile(join(staging, name), 'x')
  await core.close()
  await open()
  assert.deepEqual(await readdir(staging), [unknown])
})
