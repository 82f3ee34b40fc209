import assert from 'node:assert/strict'
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { AppError } from '../core/errors.ts'
import {
  explainOutOfRoom,
  freeBytesOf,
  isInside,
  joinInside,
  lstatOrNull,
  makeFolder,
  publishFile,
  realPathOf,
  removeFile,
  writeFileDurably,
} from './files.ts'

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-files-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

describe('writeFileDurably', () => {
  test('replaces the whole content and leaves no temporary file', async (t) => {
    const folder = await temporaryFolder(t)
    const path = join(folder, 'x')
    await writeFileDurably(path, 'a long first content')
    await writeFileDurably(path, 'second')
    assert.equal(await readFile(path, 'utf8'), 'second')
    assert.deepEqual(await readdir(folder), ['x'])
  })

  test('is for the owner alone unless another mode is asked for', async (t) => {
    const folder = await temporaryFolder(t)
    await writeFileDurably(join(folder, 'own'), '')
    await writeFileDurably(join(folder, 'open'), '', { mode: 0o644 })
    assert.equal((await stat(join(folder, 'own'))).mode & 0o777, 0o600)
    assert.equal((await stat(join(folder, 'open'))).mode & 0o777, 0o644)
  })

  test('keeps what is there when it must not replace', async (t) => {
    const folder = await temporaryFolder(t)
    const path = join(folder, 'x')
    await writeFileDurably(path, 'first', { replace: false })
    await assert.rejects(writeFileDurably(path, 'second', { replace: false }), { code: 'conflict' })
    assert.equal(await readFile(path, 'utf8'), 'first')
    assert.deepEqual(await readdir(folder), ['x'])
  })

  test('fails as the system says where the folder is missing', async (t) => {
    const folder = await temporaryFolder(t)
    await assert.rejects(writeFileDurably(join(folder, 'none', 'x'), ''), { code: 'ENOENT' })
  })
})

describe('publishFile', () => {
  test('moves a file to a free name and refuses a taken one', async (t) => {
    const folder = await temporaryFolder(t)
    const [from, to] = [join(folder, 'from'), join(folder, 'to')]
    await writeFile(from, 'one')
    await publishFile(from, to)
    assert.equal(await lstatOrNull(from), null)
    await writeFile(from, 'two')
    await assert.rejects(publishFile(from, to), { code: 'conflict' })
    assert.equal(await readFile(to, 'utf8'), 'one')
    assert.equal(await readFile(from, 'utf8'), 'two')
  })

  test('without hard links it renames, and still refuses a taken name', async (t) => {
    const folder = await temporaryFolder(t)
    const [from, to] = [join(folder, 'from'), join(folder, 'to')]
    const noLinks = () => Promise.reject(Object.assign(new Error('no links'), { code: 'EPERM' }))
    await writeFile(from, 'one')
    await publishFile(from, to, noLinks)
    assert.deepEqual(await readdir(folder), ['to'])
    await writeFile(from, 'two')
    await assert.rejects(publishFile(from, to, noLinks), { code: 'conflict' })
    assert.equal(await readFile(to, 'utf8'), 'one')
  })

  test('does not follow a dangling symlink at the free name', async (t) => {
    const folder = await temporaryFolder(t)
    await writeFile(join(folder, 'from'), 'x')
    await symlink(join(folder, 'elsewhere'), join(folder, 'to'))
    await assert.rejects(publishFile(join(folder, 'from'), join(folder, 'to')), {
      code: 'conflict',
    })
    assert.equal(await lstatOrNull(join(folder, 'elsewhere')), null)
  })
})

describe('makeFolder', () => {
  test('makes what is missing and leaves what is there', async (t) => {
    const folder = await temporaryFolder(t)
    await mkdir(join(folder, 'a'))
    await chmod(join(folder, 'a'), 0o755)
    await makeFolder(join(folder, 'a/b/c'))
    await makeFolder(join(folder, 'a/b/c'))
    assert.equal((await stat(join(folder, 'a'))).mode & 0o777, 0o755)
    assert.equal((await stat(join(folder, 'a/b/c'))).mode & 0o777, 0o700)
  })
})

describe('paths', () => {
  test('a joined path never leaves its folder', () => {
    for (const path of ['..', '../x', 'a/../../x', '/etc', 'a\0b', '../data2']) {
      assert.throws(() => joinInside('/srv/data', path), { code: 'invalid' }, path)
    }
    for (const path of ['a', 'a/b', 'a/../b', '..a', '.', 'a/..']) {
      assert.ok(isInside('/srv/data', joinInside('/srv/data', path)), path)
    }
  })

  test('inside is by whole names, not by letters', () => {
    assert.ok(isInside('/srv/data', '/srv/data'))
    assert.ok(isInside('/srv/data', '/srv/data/x'))
    assert.ok(isInside('/srv/data', '/srv/data/..x'))
    assert.ok(isInside('/', '/srv'))
    assert.ok(!isInside('/srv/data', '/srv/data2'))
    assert.ok(!isInside('/srv/data', '/srv'))
  })

  test('a real path resolves links, also above what does not exist', async (t) => {
    const folder = await realPathOf(await temporaryFolder(t))
    await mkdir(join(folder, 'real'))
    await symlink(join(folder, 'real'), join(folder, 'link'))
    assert.equal(await realPathOf(join(folder, 'link/none/such')), join(folder, 'real/none/such'))
  })
})

describe('room', () => {
  test('a full disk becomes no_room with both figures, other failures stay', async (t) => {
    const folder = await temporaryFolder(t)
    const full = Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' })
    const said = await explainOutOfRoom(full, folder, 123)
    assert.ok(said instanceof AppError)
    assert.equal(said.code, 'no_room')
    assert.equal(said.details['neededBytes'], 123)
    assert.equal(typeof said.details['freeBytes'], 'number')
    assert.equal(said.cause, full)
    const other = new Error('other')
    assert.equal(await explainOutOfRoom(other, folder, 123), other)
    assert.ok((await freeBytesOf(folder)) > 0)
  })

  test('removing a file says whether there was one', async (t) => {
    const folder = await temporaryFolder(t)
    await writeFile(join(folder, 'x'), '')
    assert.equal(await removeFile(join(folder, 'x')), true)
    assert.equal(await removeFile(join(folder, 'x')), false)
  })
})
