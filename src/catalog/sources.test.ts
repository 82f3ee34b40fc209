import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getuid } from 'node:process'
import { describe, test } from 'node:test'
import { findSource } from '../store/sources.ts'
import { admin, anna, ben, PAGE, setUpCatalog } from './catalog.test-support.ts'
import { assertDirectory } from './directory-check.ts'

const UUID = '0b0c4f0a-8a5e-4b1e-9d3c-6f2f0f6f8f01'
const MYSQL = { host: 'db', port: 3306, user: 'backup', password: 'p4ss' }

describe('Sources.create', () => {
  test('answers the source, and tells of it in the log and the trail', async (t) => {
    const { sources, world, events, audited } = await setUpCatalog(t)
    const request = {
      id: 'w',
      kind: 'directory',
      name: ' World 1 ',
      config: { path: world },
    } as const
    const made = await sources.create(anna, request)
    const { id, accountId, name, deviceId } = made
    assert.deepEqual([id, accountId, name, deviceId], ['w', 'anna', 'World 1', null])
    assert.deepEqual(await sources.get(anna, 'w'), made)
    assert.deepEqual(await events(), ['source w created'])
    assert.deepEqual(await audited(), ['anna source.create w'])
  })

  test('takes ids of people, lower-cases a uuid, and refuses what is no id or taken', async (t) => {
    const { sources, world } = await setUpCatalog(t)
    const create = (id?: string) =>
      sources.create(anna, {
        kind: 'directory',
        name: 'x',
        config: { path: world },
        ...(id === undefined ? {} : { id }),
      })
    assert.equal((await create(UUID.toUpperCase())).id, UUID)
    assert.match((await create()).id, /^[0-9a-f-]{36}$/)
    await create('world-1.a_b')
    await assert.rejects(create(UUID), { code: 'conflict' })
    for (const id of ['', '../x', 'a/b', '.x', 'a b', 'x'.repeat(129)]) {
      await assert.rejects(create(id), { code: 'invalid' }, id)
    }
  })

  test('joins a device of one’s own and no other', async (t) => {
    const { sources, devices, world } = await setUpCatalog(t)
    const device = await devices.create(anna, { name: 'NAS' })
    const request = {
      kind: 'directory',
      name: 'x',
      config: { path: world },
      deviceId: device.id,
    } as const
    const { id } = await sources.create(anna, request)
    await assert.rejects(sources.create(ben, request), { code: 'not_found' })
    const none = { ...request, deviceId: 'none' }
    await assert.rejects(sources.create(anna, none), /no device none/)
    const { items } = await sources.list(anna, { ...PAGE, deviceId: device.id })
    assert.deepEqual(
      items.map((source) => source.id),
      [id],
    )
  })

  test('keeps no secret in the clear and shows none', async (t) => {
    const { sources, database, events, audited } = await setUpCatalog(t)
    const request = { id: 'db', kind: 'mysql', name: 'x', config: MYSQL } as const
    const made = await sources.create(anna, request)
    const listed = (await sources.list(anna, PAGE)).items
    const kept = await findSource(database.sql, 'db')
    const all = [made, await sources.get(anna, 'db'), listed, kept, await events(), await audited()]
    assert.ok(!JSON.stringify(all).includes('p4ss'))
    assert.equal(made.config['password'], '***')
    assert.ok(kept !== null)
    assert.deepEqual((await sources.openForEngine(kept)).config, MYSQL)
  })
})

describe('directories', () => {
  test('one that cannot be backed up is refused with a sentence', async (t) => {
    const { folder, world, dataFolder } = await setUpCatalog(t)
    await writeFile(join(folder, 'file'), '')
    await mkdir(join(dataFolder, 'mirrors'))
    await symlink(dataFolder, join(folder, 'link'))
    const own = [dataFolder]
    const refusals: [string, RegExp][] = [
      [join(folder, 'none'), /none does not exist on this server/],
      [join(folder, 'file'), /file is no directory/],
      [join(folder, 'file/below'), /is no directory/],
      [dataFolder, /lies in a folder where this server keeps its own data/],
      [join(dataFolder, 'mirrors'), /lies in a folder/],
      [join(folder, 'link/pool'), /lies in a folder/],
      [folder, /it would archive itself; choose folders beside it/],
      ['/', /it would archive itself/],
    ]
    for (const [path, message] of refusals) {
      await assert.rejects(assertDirectory(path, own), { code: 'invalid', message }, path)
    }
    await assertDirectory(world, own)
    await mkdir(join(folder, 'data2'))
    await assertDirectory(join(folder, 'data2'), own)
  })

  const skip = getuid?.() === 0 ? false : 'skipped: acting as another user needs root'
  const mounts = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', tmpdir()])
  const mountSkip = mounts.status === 0 ? false : 'skipped: nothing can be mounted here'

  test('a bind mount does not hide what a folder is', { skip: mountSkip }, async (t) => {
    const { folder, world, dataFolder } = await setUpCatalog(t)
    const mounted = join(world, 'mounted')
    await mkdir(mounted)
    await mkdir(join(dataFolder, 'mirrors'))
    const own = [dataFolder]
    execFileSync('mount', ['--bind', dataFolder, mounted])
    try {
      for (const path of [mounted, join(mounted, 'mirrors')]) {
        await assert.rejects(assertDirectory(path, own), /lies in a folder where this server/, path)
      }
    } finally {
      execFileSync('umount', [mounted])
    }
    execFileSync('mount', ['--bind', folder, mounted])
    try {
      await assert.rejects(assertDirectory(mounted, own), /it would archive itself/)
    } finally {
      execFileSync('umount', [mounted])
    }
    await assertDirectory(mounted, own)
  })

  test('with roots an account protects what lies in them, and an admin everything', async (t) => {
    const roots = (within: string) => [join(within, 'world'), join(within, '{account}')]
    const { sources, folder, world } = await setUpCatalog(t, roots)
    const request = (path: string) => ({ kind: 'directory', name: 'x', config: { path } }) as const
    await mkdir(join(folder, 'ben'))
    await symlink(join(folder, 'ben'), join(world, 'link'))
    for (const path of [join(folder, 'ben'), join(world, 'link'), '/etc', join(folder, 'none')]) {
      await assert.rejects(sources.create(anna, request(path)), { code: 'forbidden' }, path)
    }
    await sources.create(ben, request(join(folder, 'ben')))
    await sources.create(admin, request('/etc'))
    const { id } = await sources.create(anna, request(world))
    const elsewhere = { config: { path: join(folder, 'ben') } }
    await assert.rejects(sources.update(anna, id, elsewhere), { code: 'forbidden' })
    assert.deepEqual(await sources.rootsOf(anna), [world, join(folder, 'anna')])
    assert.equal(await sources.rootsOf(admin), null)
  })

  test('one that may not be read is refused', { skip }, async (t) => {
    const { world } = await setUpCatalog(t)
    execFileSync('chmod', ['000', world])
    const check = new URL('./directory-check.ts', import.meta.url).pathname
    const program = `
      process.setuid(65534)
      const { assertDirectory } = await import(${JSON.stringify(check)})
      console.log(await assertDirectory(process.argv[1], []).catch((error) => error.message))`
    execFileSync('chmod', ['711', join(world, '..')])
    const said = execFileSync(process.execPath, ['--input-type=module', '-e', program, world])
    assert.match(said.toString(), /world may not be read by this server/)
  })
})

describe('Sources.update', () => {
  test('changes what is named and nothing else', async (t) => {
    const { sources, events } = await setUpCatalog(t)
    await sources.create(anna, { id: 'db', kind: 'mysql', name: 'x', config: MYSQL })
    const renamed = await sources.update(anna, 'db', { name: 'y' })
    assert.deepEqual([renamed.name, renamed.config], ['y', { ...MYSQL, password: '***' }])
    assert.deepEqual(await events(), ['source db created', 'source db changed'])
  })

  test('*** keeps the secret, another text replaces it', async (t) => {
    const { sources, database } = await setUpCatalog(t)
    await sources.create(anna, { id: 'db', kind: 'mysql', name: 'x', config: MYSQL })
    const opened = async () => {
      const kept = await findSource(database.sql, 'db')
      assert.ok(kept !== null)
      return (await sources.openForEngine(kept)).config
    }
    await sources.update(anna, 'db', { config: { ...MYSQL, host: 'db2', password: '***' } })
    assert.deepEqual(await opened(), { ...MYSQL, host: 'db2' })
    await sources.update(anna, 'db', { config: { ...MYSQL, password: 'new' } })
    assert.deepEqual(await opened(), { ...MYSQL, password: 'new' })
  })

  test('a directory that is away can still be configured, but not moved to nowhere', async (t) => {
    const { sources, world } = await setUpCatalog(t)
    await sources.create(anna, { id: 'w', kind: 'directory', name: 'x', config: { path: world } })
    await rm(world, { recursive: true })
    await sources.update(anna, 'w', { config: { path: world, ignore: '*.log' } })
    const elsewhere = { config: { path: `${world}2` } }
    await assert.rejects(sources.update(anna, 'w', elsewhere), /does not exist/)
  })
})

describe('who sees a source', () => {
  test('for others it is not there, in every verb', async (t) => {
    const { sources, world } = await setUpCatalog(t)
    await sources.create(anna, { id: 'w', kind: 'directory', name: 'x', config: { path: world } })
    const absent = { code: 'not_found', message: 'no source w' }
    await assert.rejects(sources.get(ben, 'w'), absent)
    await assert.rejects(sources.update(ben, 'w', { name: 'y' }), absent)
    await assert.rejects(sources.remove(ben, 'w'), absent)
    assert.deepEqual((await sources.list(ben, { ...PAGE, accountId: 'anna' })).items, [])
    assert.equal((await sources.list(admin, PAGE)).items.length, 1)
    assert.equal((await sources.list(admin, { ...PAGE, accountId: 'ben' })).items.length, 0)
    assert.equal((await sources.get(admin, 'w')).id, 'w')
    assert.equal(await sources.ownerOf('w'), 'anna')
    assert.equal(await sources.ownerOf('none'), null)
  })
})

describe('Sources.remove', () => {
  test('leaves what was protected where it is', async (t) => {
    const { sources, world, events, audited } = await setUpCatalog(t)
    await writeFile(join(world, 'file'), '')
    await sources.create(anna, { id: 'w', kind: 'directory', name: 'x', config: { path: world } })
    await sources.remove(anna, 'w')
    await assertDirectory(world, [])
    await assert.rejects(sources.get(anna, 'w'), { code: 'not_found' })
    assert.deepEqual(await events(), ['source w created', 'source w deleted'])
    assert.deepEqual(await audited(), ['anna source.create w', 'anna source.remove w'])
  })

  test('is refused while an operation works with it, naming the operation', async (t) => {
    const { sources, world, addOperation } = await setUpCatalog(t)
    await sources.create(anna, { id: 'w', kind: 'directory', name: 'x', config: { path: world } })
    await addOperation({ id: 'done', sourceId: 'w', status: 'completed', outcome: 'success' })
    await addOperation({ id: 'live', sourceId: 'w', status: 'paused' })
    for (const withSnapshots of [false, true]) {
      await assert.rejects(sources.remove(anna, 'w', { withSnapshots }), {
        code: 'conflict',
        message: 'source w is busy: operation live holds it',
      })
    }
  })

  test('with snapshots is refused and says how, and removes them only when told to', async (t) => {
    const { sources, snapshots, reader, world, addSnapshot } = await setUpCatalog(t)
    await sources.create(anna, { id: 'w', kind: 'directory', name: 'x', config: { path: world } })
    for (const id of ['s1', 's2', 's3']) await addSnapshot({ id, operationId: id, sourceId: 'w' })
    await assert.rejects(sources.remove(anna, 'w'), /remove the source with withSnapshots=true/)
    await snapshots.pin(anna, 's2')
    const told = { withSnapshots: true }
    await assert.rejects(sources.remove(anna, 'w', told), /s2 .* is pinned; unpin it first/)
    assert.deepEqual(reader.removed, [])
    await snapshots.unpin(anna, 's2')
    await sources.remove(anna, 'w', told)
    assert.deepEqual(reader.removed.sort(), ['s1', 's2', 's3'])
    assert.deepEqual((await snapshots.list(anna, PAGE)).items, [])
  })
})
