import assert from 'node:assert/strict'
import { mkdir, mkdtemp, realpath, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { RootPolicy } from './root-policy.ts'

const anna = { accountId: 'anna', isAdmin: false }

test('without roots, and for admins, every path is allowed', async () => {
  await new RootPolicy(null).assertAllowed(anna, '/etc')
  await new RootPolicy(['/srv']).assertAllowed({ accountId: 'x', isAdmin: true }, '/etc')
})

test('an account uses what really lies in its roots, and nothing beside them', async (t) => {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'holdfast-roots-')))
  t.after(() => rm(folder, { recursive: true }))
  const own = join(folder, 'users/anna')
  await mkdir(join(own, 'photos'), { recursive: true })
  await mkdir(join(folder, 'users/ben'))
  await mkdir(join(folder, 'shared'))
  await symlink(join(folder, 'users/ben'), join(own, 'link'))
  await symlink(join(folder, 'users'), join(folder, 'shared/users'))
  const policy = new RootPolicy([join(folder, 'users/{account}'), join(folder, 'shared')])
  for (const path of [own, join(own, 'photos'), join(own, 'new/one'), join(folder, 'shared')]) {
    await policy.assertAllowed(anna, path)
  }
  await policy.assertAllowed(anna, join(folder, 'shared/users/anna/photos'))
  const outside = ['users', 'users/ben', 'users/anna/link', 'users/anna/link/new', 'users/anna2']
  for (const path of [...outside.map((name) => join(folder, name)), '/', join(own, '../ben')]) {
    await assert.rejects(policy.assertAllowed(anna, path), { code: 'forbidden' }, path)
  }
  const message = /users\/ben is outside of the folders of this account: it may use what lies in/
  await assert.rejects(policy.assertAllowed(anna, join(folder, 'users/ben')), message)
})

test('an id that is no name of a folder has none', async () => {
  const policy = new RootPolicy(['/srv/{account}/files'])
  assert.deepEqual(await policy.rootsFor({ accountId: 'a@b.c:d_e-1', isAdmin: false }), [
    '/srv/a@b.c:d_e-1/files',
  ])
  for (const accountId of ['..', '.', 'a/b', '../x', '', 'ü', 'a b', '{account}']) {
    assert.deepEqual(await policy.rootsFor({ accountId, isAdmin: false }), [], accountId)
    const asked = policy.assertAllowed({ accountId, isAdmin: false }, '/srv')
    await assert.rejects(asked, /this account has no folders on this server/)
  }
})
