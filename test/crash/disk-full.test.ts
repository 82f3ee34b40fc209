import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { link, mkdir, mkdtemp, open, readdir, rm, statfs, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { geteuid } from 'node:process'
import { after, before, suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { type Holdfast, startHoldfast } from '../support/holdfast.ts'
import {
  createDirectorySource,
  getOperation,
  hasEnded,
  type Operation,
  submit,
  waitFor,
  waitForEnd,
} from '../support/operations.ts'

// Goal: a disk that fills up in the middle of a backup, with the archive and the records on it, ends
// the backup and nothing else. Method: a real server on a small disk of its own, filled from outside.

const run = promisify(execFile)

const MIB = 1024 * 1024
const DISK_MIB = 300
const TREE_BYTES = 180 * MIB
const RESERVE_MIB = 8
/** The time an engine has to stop, that to record it, and some for a busy machine. */
const DRAIN_MS_MAX = 25_000

const skip = geteuid?.() === 0 ? false : 'only root can mount a disk of its own'

let folder: string
let disk: string
let tree: string

const filler = () => join(disk, 'filler')
const kept = () => join(disk, 'kept')
const staging = () => join(disk, 'data', 'pool', '.staging')
const freeBytes = async (): Promise<number> => {
  const { bavail, bsize } = await statfs(disk)
  return bavail * bsize
}

async function start(env: Record<string, string> = {}): Promise<Holdfast> {
  const reserve = { HOLDFAST_POOL_RESERVE_MIB: String(RESERVE_MIB) }
  return startHoldfast({ dataFolder: join(disk, 'data'), env: { ...reserve, ...env } })
}

/** Writes until `leftBytes` are free: all of it where that is 0. */
async function fillDisk(leftBytes: number): Promise<void> {
  const handle = await open(filler(), 'a')
  try {
    for (;;) {
      const bytes = Math.min(MIB, (await freeBytes()) - leftBytes)
      if (bytes <= 0) return
      await handle.write(Buffer.alloc(bytes))
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
  } finally {
    await handle.close()
  }
}

/** A second name for what is staged: removing it then makes no room. */
async function keepStagedBytes(): Promise<void> {
  await mkdir(kept())
  for (const name of await stagedFiles()) await link(join(staging(), name), join(kept(), name))
}

async function clearDisk(): Promise<void> {
  for (const name of await readdir(disk)) await rm(join(disk, name), { recursive: true })
}

const stagedFiles = (): Promise<string[]> => readdir(staging()).catch(() => [])

/** A backup that runs and has a checkpoint, which would have to be taken back. */
async function startBackup(server: Holdfast): Promise<Operation> {
  const sourceId = await createDirectorySource(server, tree, { compression: 'gzip' })
  const { id } = await submit(server, { kind: 'backup', sourceId })
  await waitFor(server, id, ({ progress }) => progress.bytesDone > 0)
  await server.call('POST', `/api/v1/operations/${id}/pause`)
  await waitFor(server, id, ({ status }) => status === 'paused')
  await server.call('POST', `/api/v1/operations/${id}/resume`)
  return waitFor(server, id, ({ status, resumedCount }) => status === 'running' && resumedCount > 0)
}

function assertFailedForRoom(ended: Operation): void {
  assert.equal(ended.status, 'failed', JSON.stringify(ended))
  assert.equal(ended.error?.code, 'no_room')
  assert.match(ended.error?.message ?? '', /not enough room: \d+ bytes needed, \d+ bytes free/)
}

suite('a disk that fills up in the middle of a backup', { skip }, () => {
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'holdfast-full-'))
    disk = join(folder, 'disk')
    tree = join(folder, 'tree')
    await mkdir(disk)
    await mkdir(tree)
    for (let index = 0; index * 20 * MIB < TREE_BYTES; index += 1) {
      await writeFile(join(tree, `${index}.bin`), randomBytes(20 * MIB))
    }
    await run('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MIB}m`, 'holdfast-test', disk])
  })

  after(async () => {
    await run('umount', [disk])
    await rm(folder, { recursive: true, force: true })
  })

  test('fails with both figures, leaves nothing staged, and the server goes on', async () => {
    const server = await start()
    try {
      const { id } = await startBackup(server)
      await fillDisk(0)
      assertFailedForRoom(await waitForEnd(server, id, 20_000))
      assert.deepEqual(await stagedFiles(), [])
      await rm(filler())
      const again = await server.call('POST', `/api/v1/operations/${id}/retry`)
      const ended = await waitForEnd(server, String(again.body['id']))
      assert.equal(ended.status, 'completed', JSON.stringify(ended.error))
    } finally {
      assert.equal(await server.stop(), 0, lastLines(server))
      await clearDisk()
    }
  })

  test('the archive does not grow into the room that is kept for the records', async () => {
    const server = await start({ HOLDFAST_POOL_RESERVE_MIB: '96' })
    try {
      const reserve = 96 * MIB
      const { id } = await startBackup(server)
      await fillDisk(reserve + 24 * MIB)
      let least = Number.POSITIVE_INFINITY
      const deadline = performance.now() + 20_000
      let ended = await getOperation(server, id)
      while (!hasEnded(ended) && performance.now() < deadline) {
        least = Math.min(least, await freeBytes())
        await sleep(5)
        ended = await getOperation(server, id)
      }
      assertFailedForRoom(ended)
      assert.ok(least > reserve / 2, `only ${least} bytes were left`)
    } finally {
      assert.equal(await server.stop(), 0, lastLines(server))
      await clearDisk()
    }
  })

  test('while not even the end can be recorded it lives and says so, and records it later', async () => {
    const server = await start()
    try {
      const { id } = await startBackup(server)
      await keepStagedBytes()
      await fillDisk(0)
      await waitForHealth(server, 'failing')
      // Long enough for many tries: a line for each would show.
      await sleep(12_000)
      assert.equal((await getOperation(server, id)).status, 'running')
      assert.equal((await health(server))['database'], 'failing')
      const said = server.log().split('\n').filter(isAboutRecords)
      assert.ok(said.length >= 1 && said.length <= 3, said.join('\n'))
      await rm(filler())
      assertFailedForRoom(await waitForEnd(server, id))
      await waitForHealth(server, 'ok')
    } finally {
      assert.equal(await server.stop(), 0, lastLines(server))
      await clearDisk()
    }
  })

  test('SIGTERM ends a server that can record nothing in time and with 0; the next one goes on', async () => {
    const server = await start()
    const { id } = await startBackup(server)
    await keepStagedBytes()
    await fillDisk(0)
    await waitForHealth(server, 'failing')
    const stoppedAt = performance.now()
    assert.equal(await server.stop(), 0, lastLines(server))
    assert.ok(performance.now() - stoppedAt < DRAIN_MS_MAX)
    await rm(filler())
    await rm(kept(), { recursive: true })
    const next = await start()
    try {
      const ended = await waitForEnd(next, id)
      assert.equal(ended.status, 'completed', JSON.stringify(ended.error))
    } finally {
      assert.equal(await next.stop(), 0, lastLines(next))
      await clearDisk()
    }
  })
})

const isAboutRecords = (line: string): boolean =>
  line.includes('records is full') && !line.includes('health check')

const lastLines = (server: Holdfast): string => server.log().split('\n').slice(-12).join('\n')

async function health(server: Holdfast): Promise<Record<string, string>> {
  const { body } = await server.call('GET', '/healthz')
  return body['checks'] as Record<string, string>
}

async function waitForHealth(server: Holdfast, word: string): Promise<void> {
  const deadline = performance.now() + 15_000
  while ((await health(server))['database'] !== word) {
    if (performance.now() > deadline) throw new Error(`never ${word}:\n${lastLines(server)}`)
    await sleep(100)
  }
}
