import assert from 'node:assert/strict'
import { execFile, execFileSync, spawn } from 'node:child_process'
import { link, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getuid } from 'node:process'
import { createInterface } from 'node:readline'
import { describe, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { LocalPool } from './local.ts'
import { describePool, put } from './pool.contract.ts'

const MIB = 1024 * 1024

async function temporaryFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'holdfast-pool-'))
}

async function localPool(t: TestContext, reserveBytes?: number) {
  const root = await temporaryFolder()
  t.after(() => rm(root, { recursive: true, force: true }))
  const pool = new LocalPool(
    reserveBytes === undefined ? { id: 'local', root } : { id: 'local', root, reserveBytes },
  )
  return { root, pool }
}

describePool('local', async () => {
  const root = await temporaryFolder()
  return {
    pool: new LocalPool({ id: 'local', root: join(root, 'made', 'on', 'first', 'use') }),
    close: () => rm(root, { recursive: true, force: true }),
  }
})

describe('local pool', () => {
  test('the reserve is not given away', async (t) => {
    const { pool, root } = await localPool(t, 0)
    const guarded = new LocalPool({ id: 'local', root, reserveBytes: 2 ** 60 })
    assert.ok((await pool.freeBytes()) > 0)
    assert.equal(await guarded.freeBytes(), 0)
    await assert.rejects(guarded.assertRoom(1), {
      code: 'no_room',
      details: { neededBytes: 1, freeBytes: 0 },
    })
  })

  test('objects and staged files are for the owner of the process alone', async (t) => {
    const { pool, root } = await localPool(t)
    await put(pool, 'archives/s/x', '')
    for (const folder of ['archives', 'archives/s', '.staging']) {
      assert.equal((await stat(join(root, folder))).mode & 0o077, 0, folder)
    }
  })

  test('a publish that a crash cut off after the link is finished by the next one', async (t) => {
    const { pool, root } = await localPool(t)
    await put(pool, 'd/first', '1')
    const staged = await pool.stage('cut')
    await writeFile(staged, 'content')
    await link(staged, join(root, 'd/cut'))
    await pool.publish('cut', 'd/cut')
    assert.equal(await readFile(join(root, 'd/cut'), 'utf8'), 'content')
    assert.deepEqual(await readdir(join(root, '.staging')), [])
  })

  test('a staged file whose link is an object already is a copy when it is staged again', async (t) => {
    const { pool, root } = await localPool(t)
    await put(pool, 'd/first', '1')
    const staged = await pool.stage('cut')
    await writeFile(staged, 'content')
    await link(staged, join(root, 'd/cut'))
    assert.equal(await pool.stage('cut'), staged)
    assert.equal(await readFile(staged, 'utf8'), 'content')
    await writeFile(staged, 'written on')
    assert.equal(await readFile(join(root, 'd/cut'), 'utf8'), 'content')
  })

  test('a key below an object is refused as a conflict', async (t) => {
    const { pool } = await localPool(t)
    await put(pool, 'd', '1')
    await assert.rejects(put(pool, 'd/e', '2'), { code: 'conflict' })
    await assert.rejects(put(pool, 'd/e/f', '2'), { code: 'conflict' })
    assert.equal(await pool.stat('d/e'), null)
  })

  test('a symlink in the place of an object is not followed', async (t) => {
    const { pool, root } = await localPool(t)
    await put(pool, 'd/first', '1')
    execFileSync('ln', ['-s', '/etc/passwd', join(root, 'd/link')])
    assert.equal(await pool.stat('d/link'), null)
    await assert.rejects(pool.read('d/link'))
    await assert.rejects(pool.localCopy('d/link'), { code: 'not_found' })
  })
})

describe('local pool under kill -9', () => {
  const PUBLISHER = fileURLToPath(new URL('./publisher.test-program.ts', import.meta.url))

  test('every object that is there is whole, and what was acknowledged is there', async (t) => {
    const { pool, root } = await localPool(t)
    for (let round = 0; round < 4; round += 1) {
      const acknowledged = await publishUntilKilled(PUBLISHER, [root, `r${round}`], 5 + round * 7)
      const found = new Set<string>()
      for await (const { key, bytes } of pool.list(`r${round}/`)) {
        found.add(key)
        assert.equal(bytes, 64 * 1024, `${key} is whole`)
      }
      for (const key of acknowledged) assert.ok(found.has(key), `${key} was acknowledged`)
    }
  })
})

/** Answers the keys the program said were published before it was killed in the middle of its work. */
async function publishUntilKilled(program: string, args: string[], count: number) {
  const child = spawn(process.execPath, [program, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const acknowledged: string[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    acknowledged.push(line)
    if (acknowledged.length === count) child.kill('SIGKILL')
  }
  assert.ok(acknowledged.length >= count)
  return acknowledged
}

describe('local pool on a full disk', () => {
  const skip = getuid?.() === 0 ? false : 'skipped: mounting a small tmpfs needs root'

  test('no room is met with both figures, and nothing half-made is an object', {
    skip,
  }, async (t) => {
    const root = await temporaryFolder()
    await promisify(execFile)('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', root])
    t.after(async () => {
      await promisify(execFile)('umount', [root])
      await rm(root, { recursive: true, force: true })
    })
    const pool = new LocalPool({ id: 'small', root, reserveBytes: MIB })
    assert.ok((await pool.freeBytes()) <= 3 * MIB)
    await assert.rejects(pool.assertRoom(4 * MIB), { code: 'no_room' })

    await put(pool, 'd/kept', 'k'.repeat(MIB))
    const staged = await pool.stage('grown')
    await writeFile(staged, 'x'.repeat(2 * MIB))
    await link(staged, join(root, 'd/grown'))
    await assert.rejects(pool.stage('grown'), { code: 'no_room' })
    assert.deepEqual(await readdir(join(root, '.staging')), ['grown'])
    await assert.rejects(writeFile(await pool.stage('more'), 'x'.repeat(2 * MIB)), {
      code: 'ENOSPC',
    })
    await pool.discard('more')
    assert.deepEqual(await pool.stat('d/kept'), { key: 'd/kept', bytes: MIB })
  })
})
