import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  checkClock,
  checkDataFolder,
  checkFsync,
  checkHolder,
  checkKeys,
  checkNode,
  checkProgram,
  worstFirst,
} from './doctor-checks.ts'

const NOW_MS = Date.UTC(2026, 5, 1)

test('the worst comes first, and the rest stays in order', () => {
  const checks = (['ok', 'warning', 'ok', 'broken', 'warning'] as const).map((state, index) => ({
    name: String(index),
    state,
    says: '',
  }))
  assert.deepEqual(
    worstFirst(checks).map(({ name }) => name),
    ['3', '1', '4', '0', '2'],
  )
})

for (const [version, state] of [
  ['20.20.2', 'broken'],
  ['24.15.9', 'broken'],
  ['24.16.0', 'ok'],
  ['26.10.0', 'ok'],
] as const) {
  test(`Node ${version} is ${state}`, () => assert.equal(checkNode(version).state, state))
}

test('a clock of 1970 is broken, one that was set back is a warning', () => {
  assert.equal(checkClock(0, null).state, 'broken')
  assert.equal(checkClock(NOW_MS, new Date(NOW_MS + 3_600_000).toISOString()).state, 'warning')
  assert.equal(checkClock(NOW_MS, new Date(NOW_MS - 1).toISOString()).state, 'ok')
})

test('a data folder that is still to be made is fine, one that is a file is not', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-doctor-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const missing = join(folder, 'a', 'b')
  assert.notEqual((await checkDataFolder(missing)).state, 'broken')
  await writeFile(join(folder, 'file'), '')
  assert.equal((await checkDataFolder(join(folder, 'file'))).state, 'broken')
  assert.deepEqual(await readdir(folder), ['file'], 'looking changes nothing')
})

test('the trial of the disk leaves nothing behind', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-doctor-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const check = await checkFsync(folder, () => performance.now())
  assert.match(check.says, /a second/)
  assert.deepEqual(await readdir(folder), [])
})

test('a program that is missing is a warning that says what is lost', async () => {
  const check = await checkProgram('holdfast-no-such-program', 'nothing works')
  assert.deepEqual([check.state, check.says], ['warning', 'not installed: nothing works'])
})

test('a server that has ended is not taken for one that runs', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-doctor-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const say = (pid: number) =>
    writeFile(
      join(folder, 'instance.json'),
      JSON.stringify({ url: 'http://x', pid, startedAt: new Date(NOW_MS).toISOString() }),
    )
  assert.equal((await checkHolder(folder)).says, 'nobody')
  await say(2 ** 22 + 1) // above the kernel's highest
  assert.match((await checkHolder(folder)).says, /ended without saying so/)
  await say(process.pid)
  assert.match((await checkHolder(folder)).says, /a server at http:\/\/x, process/)
})

test('a key that can be guessed is a warning that says which', () => {
  assert.equal(checkKeys([]).state, 'ok')
  const short = checkKeys(['HOLDFAST_ADMIN_TOKEN has few characters'])
  assert.deepEqual(
    [short.state, short.says],
    ['warning', 'HOLDFAST_ADMIN_TOKEN has few characters'],
  )
})
