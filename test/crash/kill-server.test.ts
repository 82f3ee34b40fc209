import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Holdfast, startHoldfast } from '../support/holdfast.ts'
import {
  createDirectorySource,
  getOperation,
  hasEnded,
  submit,
  waitFor,
  waitForEnd,
} from '../support/operations.ts'
import { describeTree, makeNastyTree, seededBytes, settleTimes } from '../support/trees.ts'

// Goal: whatever moment the server is killed at, the work goes on after the next start, ends once,
// and what it leaves is whole. Method: a real server, a tree that takes some seconds, `kill -9` at
// moments drawn from a fixed seed.

const BIG_FILES = 6
const BIG_FILE_BYTES = 40 * 1024 * 1024

let folder: string
let tree: string
let expected: string[]
let server: Holdfast

const dataFolder = () => join(folder, 'data')
const start = () => startHoldfast({ dataFolder: dataFolder() })

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-crash-'))
  tree = join(folder, 'tree')
  await makeNastyTree(tree)
  await mkdir(join(tree, 'big'))
  const bytes = seededBytes(BIG_FILE_BYTES, 11)
  for (let index = 0; index < BIG_FILES; index += 1) {
    await writeFile(join(tree, 'big', `${index}.bin`), bytes.subarray(index))
  }
  for (let index = 0; index < 2_000; index += 1) {
    await writeFile(join(tree, 'deep', `small-${index}`), bytes.subarray(index, index * 4))
  }
  await settleTimes(tree)
  expected = await describeTree(tree)
  server = await start()
})

after(async () => {
  await server.stop()
  await rm(folder, { recursive: true, force: true })
})

async function restoreElsewhere(snapshotId: string, name: string): Promise<string> {
  const target = join(folder, name)
  const restore = await submit(server, {
    kind: 'restore',
    input: { snapshotId, target: { path: target } },
  })
  const ended = await waitForEnd(server, restore.id)
  assert.equal(ended.status, 'completed', JSON.stringify(ended.error))
  return target
}

async function eventTypes(id: string): Promise<string[]> {
  const { body } = await server.call('GET', `/api/v1/operations/${id}/events?limit=500`)
  return (body['items'] as { type: string }[]).map(({ type }) => type)
}

const ENDS = ['completed', 'failed', 'cancelled', 'expired']

suite('a server that is killed', () => {
  test('goes on with a backup from where it was, and the snapshot restores byte for byte', async () => {
    const sourceId = await createDirectorySource(server, tree, { compression: 'gzip' })
    const { id } = await submit(server, { kind: 'backup', sourceId })
    await waitFor(server, id, ({ progress }) => progress.bytesDone > BIG_FILE_BYTES)
    // None of the lives below need be long enough for a checkpoint: a pause leaves one.
    await server.call('POST', `/api/v1/operations/${id}/pause`)
    await waitFor(server, id, ({ status }) => status === 'paused')
    await server.call('POST', `/api/v1/operations/${id}/resume`)
    let lastPercent = 0
    let kills = 0
    // Nine: ten in a row that get no further are the end of it.
    for (const waitMs of [30, 900, 400, 1_500, 150, 1_100, 700, 2_000, 60]) {
      await sleep(waitMs)
      const seen = await getOperation(server, id)
      if (hasEnded(seen)) break
      assert.ok((seen.progress.percent ?? 0) >= lastPercent, 'percent fell over a restart')
      lastPercent = seen.progress.percent ?? lastPercent
      await server.kill()
      kills += 1
      server = await start()
    }
    assert.ok(kills >= 3, `only ${kills} kills hit the backup`)
    const ended = await waitForEnd(server, id)
    assert.equal(ended.status, 'completed', JSON.stringify(ended.error))
    assert.ok(ended.resumedCount >= 1, 'it never went on from a checkpoint')
    assert.ok(ended.bytesNotRedone > 0)
    assert.equal((await eventTypes(id)).filter((type) => ENDS.includes(type)).length, 1)
    const target = await restoreElsewhere(String(ended.snapshotId), 'restored-after-kills')
    assert.deepEqual(await describeTree(target), expected)
  })

  test('leaves the target of a restore as it was, or as it shall be, and never between', async () => {
    const sourceId = await createDirectorySource(server, tree, { compression: 'none' })
    const backup = await waitForEnd(server, (await submit(server, { kind: 'backup', sourceId })).id)
    const target = join(folder, 'half')
    await mkdir(target)
    await writeFile(join(target, 'before.txt'), 'was here')
    await settleTimes(target)
    const before = await describeTree(target)
    const { id } = await submit(server, {
      kind: 'restore',
      input: { snapshotId: String(backup.snapshotId), target: { path: target }, mode: 'replace' },
    })
    for (const waitMs of [20, 120, 260, 400, 60, 90]) {
      await sleep(waitMs)
      await server.kill()
      const now = await describeTree(target).catch(() => null)
      assert.notEqual(now, null, 'the target is gone')
      if (now?.length === before.length) assert.deepEqual(now, before)
      else assert.deepEqual(now, expected)
      server = await start()
    }
    const ended = await waitForEnd(server, id)
    assert.equal(ended.status, 'completed', JSON.stringify(ended.error))
    assert.deepEqual(await describeTree(target), expected)
    const beside = (await readdir(folder)).filter((name) => name.startsWith('.holdfast'))
    assert.deepEqual(beside, [], 'half-made files stayed beside the target')
  })

  test('remembers a cancel that was asked before it died, and leaves nothing staged', async () => {
    const sourceId = await createDirectorySource(server, tree, { compression: 'gzip' })
    const { id } = await submit(server, { kind: 'backup', sourceId })
    await waitFor(server, id, ({ progress }) => progress.bytesDone > 0)
    const cancelled = server.call('POST', `/api/v1/operations/${id}/cancel`)
    await Promise.race([cancelled, sleep(5)])
    await cancelled.catch(() => undefined)
    await server.kill()
    server = await start()
    const ended = await waitForEnd(server, id)
    assert.equal(ended.status, 'cancelled')
    const staged = await readdir(join(dataFolder(), 'pool', '.staging')).catch(() => [])
    assert.deepEqual(staged, [])
  })

  test('keeps a paused backup paused, and goes on with it when asked', async () => {
    const sourceId = await createDirectorySource(server, tree, { compression: 'gzip' })
    const { id } = await submit(server, { kind: 'backup', sourceId })
    await waitFor(server, id, ({ progress }) => progress.bytesDone > BIG_FILE_BYTES)
    await server.call('POST', `/api/v1/operations/${id}/pause`)
    const paused = await waitFor(server, id, ({ status }) => status === 'paused')
    await server.kill()
    server = await start()
    assert.equal((await getOperation(server, id)).status, 'paused')
    await server.call('POST', `/api/v1/operations/${id}/resume`)
    const ended = await waitForEnd(server, id)
    assert.equal(ended.status, 'completed')
    assert.ok(ended.bytesNotRedone > 0, `started again from nothing: ${JSON.stringify(paused)}`)
  })
})

suite('a server that is told to stop', () => {
  test('leaves a checkpoint, exits 0, and the next one goes on from there', async () => {
    const sourceId = await createDirectorySource(server, tree, { compression: 'gzip' })
    const { id } = await submit(server, { kind: 'backup', sourceId })
    await waitFor(server, id, ({ progress }) => progress.bytesDone > BIG_FILE_BYTES)
    assert.equal(await server.stop(), 0)
    server = await start()
    const ended = await waitForEnd(server, id)
    assert.equal(ended.status, 'completed')
    assert.ok(ended.bytesNotRedone >= BIG_FILE_BYTES, `only ${ended.bytesNotRedone} bytes kept`)
  })
})

suite('a data folder', () => {
  test('has one server: the second refuses and names the first', async () => {
    await assert.rejects(start(), new RegExp(`in use by process ${server.pid}`))
  })
})
