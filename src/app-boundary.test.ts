import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Core, openCore } from './app.ts'
import { parseConfig } from './config.ts'
import type { Caller } from './core/account.ts'
import type { SubmitRequest } from './jobs/requests.ts'
import { createLog } from './platform/log.ts'

// What an account reaches on the disk, through all the rooms.

const anna: Caller = {
  accountId: 'anna',
  name: 'anna',
  permissions: ['*'],
  tokenId: null,
  expiresAtMs: null,
}

interface Place {
  readonly folder: string
  readonly core: Core
  readonly admin: Caller
  protect(caller: Caller, path: string): Promise<string>
  /** Answers the status, and the sentence of a failure. */
  run(caller: Caller, request: SubmitRequest): Promise<{ told: string; snapshotId: string }>
}

async function setUp(t: TestContext, roots: (folder: string) => string = () => ''): Promise<Place> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'holdfast-boundary-')))
  const data = join(folder, 'data')
  const config = parseConfig({ HOLDFAST_DATA: data, HOLDFAST_ROOTS: roots(folder) })
  const core = await openCore(config, { log: createLog('silent') })
  t.after(async () => {
    await core.close()
    await rm(folder, { recursive: true })
  })
  await core.worker.start()
  for (const name of ['users/anna/in', 'users/ben', 't/real']) {
    await mkdir(join(folder, name), { recursive: true })
    await writeFile(join(folder, name, 'file'), name)
  }
  return {
    folder,
    core,
    admin: await core.auth.adminCaller(),
    protect: async (caller, path) => {
      const request = { kind: 'directory', name: 'x', config: { path } } as const
      return (await core.sources.create(caller, request)).id
    },
    run: async (caller, request) => {
      const { id } = await core.jobs.submit(caller, request)
      const ended = await core.jobs.waitForEnd(caller, id, { timeoutMs: 30_000 })
      const told = ended.failure?.message ?? ended.status
      return { told, snapshotId: ended.snapshotId ?? '' }
    },
  }
}

test('with roots an account stays in its own, whatever its paths lead to by the time of a run', async (t) => {
  const { folder, core, admin, protect, run } = await setUp(t, (at) => join(at, 'users/{account}'))
  const own = join(folder, 'users/anna')
  const forbidden = { code: 'forbidden', message: /outside of the folders of this account/ }
  await assert.rejects(protect(anna, join(folder, 'users/ben')), forbidden)
  const sourceId = await protect(anna, join(own, 'in'))
  const { told, snapshotId } = await run(anna, { kind: 'backup', sourceId })
  assert.equal(told, 'completed')
  const to = (path: string) => ({ snapshotId, target: { path }, mode: 'merge' })
  for (const kind of ['restore', 'verify'] as const) {
    const outside = core.jobs.submit(anna, { kind, input: to(join(folder, 'users/ben')) })
    await assert.rejects(outside, forbidden, kind)
  }
  assert.equal(
    (await run(anna, { kind: 'restore', input: to(join(own, 'back')) })).told,
    'completed',
  )
  assert.equal(
    (await run(anna, { kind: 'verify', input: to(join(own, 'back')) })).told,
    'completed',
  )
  const byAdmin = await run(admin, { kind: 'restore', input: to(join(folder, 'elsewhere')) })
  assert.equal(byAdmin.told, 'completed')
  const pool = { name: 'p', kind: 'local', config: { path: join(folder, 'pool') } }
  await assert.rejects(core.pools.create(anna, pool), forbidden)
  await core.pools.create(admin, pool)
  const theirs = await protect(admin, join(folder, 't'))
  assert.equal((await run(admin, { kind: 'backup', sourceId: theirs })).told, 'completed')

  await rm(join(own, 'in'), { recursive: true })
  await symlink(join(folder, 'users/ben'), join(own, 'in'))
  await assert.rejects(core.jobs.submit(anna, { kind: 'backup', sourceId }), forbidden)
})

test('restores to one folder by several paths, or to one within it, do not run at the same time', async (t) => {
  const { folder, core, protect, run } = await setUp(t)
  const sourceId = await protect(anna, join(folder, 'users/anna'))
  const { snapshotId } = await run(anna, { kind: 'backup', sourceId })
  await symlink(join(folder, 't'), join(folder, 'link'))
  await core.worker.drain()
  const submit = (path: string) =>
    core.jobs.submit(anna, {
      kind: 'restore',
      input: { snapshotId, target: { path: join(folder, path) }, mode: 'merge' },
    })
  const first = await submit('t/real')
  const busy = { code: 'conflict', message: new RegExp(`busy: operation ${first.id} holds it`) }
  for (const path of ['t/real', 'link/real', 't/real/inner', 'link/real/in/ner', 't']) {
    await assert.rejects(submit(path), busy, path)
  }
  const beside = await submit('link/other')
  for (const { id } of [first, beside]) await core.jobs.cancel(anna, id)

  // The source itself, by whatever path: neither may its backup run then.
  await symlink(join(folder, 'users'), join(folder, 'alias'))
  const backup = await core.jobs.submit(anna, { kind: 'backup', sourceId })
  for (const path of ['alias/anna', 'alias/anna/in', 'users']) {
    const message = new RegExp(`operation ${backup.id} holds it`)
    await assert.rejects(submit(path), { code: 'conflict', message }, path)
  }
  await core.jobs.cancel(anna, backup.id)
  const restore = await submit('alias/anna')
  await assert.rejects(core.jobs.submit(anna, { kind: 'backup', sourceId }), { code: 'conflict' })
  await core.jobs.cancel(anna, restore.id)
})

test('a pool and a source are never in each other, whichever comes first', async (t) => {
  const { folder, core, admin, protect } = await setUp(t)
  const pool = (path: string, shared = false) =>
    core.pools.create(admin, { name: 'p', kind: 'local', config: { path }, shared })
  await protect(anna, join(folder, 'users/anna'))
  for (const path of ['users', 'users/anna', 'users/anna/in/pool']) {
    await assert.rejects(pool(join(folder, path)), /protected here/, path)
  }
  await pool(join(folder, 'p/one'))
  for (const path of ['p', 'p/one']) {
    await assert.rejects(protect(anna, join(folder, path)), /its own data or backups/, path)
  }
  assert.equal(await readFile(join(folder, 'users/anna/in/file'), 'utf8'), 'users/anna/in')
})
