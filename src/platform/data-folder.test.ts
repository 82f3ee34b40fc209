import assert from 'node:assert/strict'
import { chmod, mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { keepDatabasePrivate, openDataFolder } from './data-folder.ts'

async function makePlace(t: TestContext): Promise<string> {
  const place = await mkdtemp(join(tmpdir(), 'holdfast-folder-'))
  t.after(() => rm(place, { recursive: true }))
  return place
}

const modeOf = async (path: string) => (await stat(path)).mode & 0o777

test('makes the folder and those above it for its owner alone, and leaves nothing in it', async (t) => {
  const folder = join(await makePlace(t), 'a', 'b')
  await openDataFolder(folder)
  await openDataFolder(folder)
  assert.equal(await modeOf(folder), 0o700)
  assert.equal(await modeOf(join(folder, '..')), 0o700)
  assert.deepEqual(await readdir(folder), [])
})

test('says what is in the way, and never tries for ever', async (t) => {
  const place = await makePlace(t)
  await writeFile(join(place, 'file'), '')
  for (const name of ['file', 'file/below']) {
    await assert.rejects(openDataFolder(join(place, name)), {
      code: 'invalid',
      message: /cannot be used: .*file is a file; choose another with HOLDFAST_DATA/,
    })
  }
  await symlink(join(place, 'loop'), join(place, 'loop'))
  await assert.rejects(openDataFolder(join(place, 'loop', 'x')), { code: 'invalid' })
})

test('refuses a file system that has no folders to give', { skip: noProc() }, async () => {
  for (const folder of ['/proc/holdfast', '/proc/holdfast/data', '/proc']) {
    await assert.rejects(openDataFolder(folder), { code: 'invalid', message: /cannot be made/ })
  }
})

function noProc(): string | false {
  return process.platform === 'linux' ? false : 'there is no /proc here'
}

test('the database is for its owner alone, also one that others could read before', async (t) => {
  const file = join(await makePlace(t), 'records.sqlite')
  await keepDatabasePrivate(file)
  assert.equal(await modeOf(file), 0o600)
  await writeFile(`${file}-wal`, '')
  for (const path of [file, `${file}-wal`]) await chmod(path, 0o644)
  await keepDatabasePrivate(file)
  for (const path of [file, `${file}-wal`]) assert.equal(await modeOf(path), 0o600)
})
