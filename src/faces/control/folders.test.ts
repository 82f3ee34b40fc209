import assert from 'node:assert/strict'
import { mkdir, realpath, symlink } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { openFace, TEST_SERVER } from '../../../test/support/control-face.ts'
import { ADMIN_TOKEN } from '../../../test/support/control-rig.ts'
import { Sources } from '../../catalog/sources.ts'
import { createIds } from '../../platform/ids.ts'
import { RootPolicy } from '../../platform/root-policy.ts'
import { createSecrets } from '../../platform/secrets.ts'
import { buildServer } from '../server.ts'

let face: Awaited<ReturnType<typeof openFace>>
let limited: Awaited<ReturnType<typeof buildServer>>
let folder: string

before(async () => {
  face = await openFace()
  const { services, database } = face.rig
  folder = await realpath(face.rig.folder)
  for (const name of ['users/anna/photos', 'users/ben', 'shared']) {
    await mkdir(join(folder, name), { recursive: true })
  }
  await symlink(join(folder, 'users/ben'), join(folder, 'users/anna/way'))
  const sources = new Sources({
    ...{ database, clock: services.clock, ids: createIds(services.clock) },
    secrets: createSecrets(new Uint8Array(32)),
    snapshots: services.snapshots,
    ownFolders: async () => [],
    roots: new RootPolicy([join(folder, 'users/{account}'), join(folder, 'shared')]),
  })
  limited = await buildServer({
    ...TEST_SERVER,
    webFolder: folder,
    services: { ...services, sources },
  })
})
after(async () => {
  limited.stop()
  await limited.app.close()
  await face.close()
})

async function list(app: typeof limited.app, token: string, path?: string) {
  const query = path === undefined ? '' : `?path=${encodeURIComponent(path)}`
  const headers = { authorization: `Bearer ${token}` }
  const response = await app.inject({ url: `/api/v1/folders${query}`, headers })
  return { status: response.statusCode, body: response.json() }
}

test('without roots every folder is listed, from the home folder on', async () => {
  const token = await face.rig.token('anna')
  assert.equal((await list(face.app, token)).body.path, homedir())
  const { body } = await list(face.app, token, join(folder, 'users'))
  assert.deepEqual(
    body.folders.map(({ name }: { name: string }) => name),
    ['anna', 'ben'],
  )
  assert.equal(body.parent, folder)
})

test('with roots an account looks through them alone, an admin through everything', async () => {
  const token = await face.rig.token('anna')
  const own = join(folder, 'users/anna')
  const roots = [own, join(folder, 'shared')].map((path) => ({ name: path, path }))
  for (const path of [undefined, '/']) {
    const { body } = await list(limited.app, token, path)
    assert.deepEqual(body, { path: '/', parent: null, folders: roots })
  }
  const top = await list(limited.app, token, own)
  assert.deepEqual([top.status, top.body.parent], [200, '/'])
  const inner = await list(limited.app, token, join(own, 'photos'))
  assert.deepEqual([inner.status, inner.body.parent], [200, own])
  for (const name of ['users', 'users/ben', 'users/anna/way', 'users/anna/../ben', 'none']) {
    const { status } = await list(limited.app, token, `${folder}/${name}`)
    assert.equal(status, 403, name)
  }
  assert.equal((await list(limited.app, ADMIN_TOKEN, folder)).status, 200)
})
