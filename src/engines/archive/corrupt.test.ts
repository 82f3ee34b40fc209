import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { gunzipSync, gzipSync } from 'node:zlib'
import { AppError } from '../../core/errors.ts'
import type { Snapshot } from '../../core/snapshot.ts'
import {
  type FixtureMember,
  type Home,
  look,
  makeHome,
  makeTar,
  makeTask,
  pack,
  put,
  RecordingContext,
  ROOT,
  storeArchive,
} from './archive.fixture.ts'
import { ReadPool } from './read/read-pool.ts'
import { RestoreArchive } from './read/restore.ts'
import { ArchiveReader } from './read/snapshot-reader.ts'
import { VerifyArchive } from './read/verify.ts'

// Every way of reading an archive, against archives and manifests that were flipped and cut byte by
// byte.

const LIMIT_MS = 5_000
/** Of the bytes every so many: all of them take minutes. */
const STEP = 97

const MEMBERS: readonly FixtureMember[] = [
  ROOT,
  { name: 'a', content: 'first '.repeat(300) },
  { name: 'd', type: 'directory' },
  { name: `d/${'long'.repeat(40)}`, content: 'second '.repeat(400) },
  { name: 'd/soft', type: 'symlink', linkTarget: '../a' },
  { name: Buffer.from([0x66, 0xe9]), content: 'odd' },
  { name: 'hard', type: 'hardlink', linkTarget: 'a' },
]
const WANTED = `d/${'long'.repeat(40)}`
const CONTENT = Buffer.from('second '.repeat(400))

let home: Home
let whole: readonly string[]
const threads = new ReadPool()

before(async () => {
  home = await makeHome()
})
after(async () => {
  await threads.close()
  await home.remove()
})

/** What an operation came to: its value, or the sentence with which it was refused. */
async function outcome<T>(what: string, work: Promise<T>): Promise<T | AppError> {
  const limit = new AbortController()
  const late = sleep(LIMIT_MS, null, { signal: limit.signal }).then(
    () => assert.fail(`${what} hangs`),
    () => assert.fail('it was in time'),
  )
  late.catch(() => undefined)
  try {
    return await Promise.race([work, late])
  } catch (error) {
    if (!(error instanceof AppError)) throw new Error(`${what} fails by accident`, { cause: error })
    assert.match(error.message, /^[a-z].{10,}/s, what)
    return error
  } finally {
    limit.abort()
  }
}

const isCode = (found: unknown, ...codes: readonly string[]): boolean =>
  found instanceof AppError && codes.includes(found.code)

interface Outcomes {
  readonly verify: boolean
  readonly whats: readonly string[]
  readonly browse: readonly string[] | AppError
  readonly file: Buffer | AppError
  readonly restore: readonly string[] | AppError
}

async function readFileOf(reader: ArchiveReader, snapshot: Snapshot): Promise<Buffer> {
  const file = await reader.file(snapshot, WANTED)
  return buffer(await file.open({ start: 0, end: file.bytes }, new AbortController().signal))
}

async function readAll(snapshot: Snapshot, what: string): Promise<Outcomes> {
  const options = { pools: home.pools, threads, forbiddenRoots: async () => [] }
  const verified = await outcome(
    `${what}: verify`,
    new VerifyArchive(options).run(makeTask('verify', snapshot, {}), new RecordingContext()),
  )
  if (verified instanceof AppError) {
    // A manifest that says it is of a later version is not called damaged.
    assert.match(verified.message, /reads version/, `${what}: a damage is no failure of a verify`)
  }
  const reader = new ArchiveReader({
    pools: home.pools,
    threads,
    cacheFolder: `${home.root}/cache`,
  })
  const page = reader.browse(snapshot, { path: '', cursor: null, limit: 100 })
  const names = page.then(({ entries }) => entries.map((entry) => entry.path))
  const browse = await outcome(`${what}: browse`, names)
  const file = await outcome(`${what}: file`, readFileOf(reader, snapshot))
  await reader.close()
  const path = join(home.root, 'target')
  const task = makeTask('restore', snapshot, { target: { path } })
  const restored = await outcome(
    `${what}: restore`,
    new RestoreArchive(options).run(task, new RecordingContext()),
  )
  const restore = restored instanceof AppError ? restored : look(path)
  rmSync(path, { recursive: true, force: true })
  rmSync(join(home.root, 'cache'), { recursive: true, force: true })
  const result = verified instanceof AppError ? {} : verified.result
  const damages = (result['damages'] ?? []) as readonly { what: string }[]
  const whats = damages.map((damage) => damage.what)
  const verify = !(verified instanceof AppError) && verified.verifiedWell === true
  return { verify, whats, browse, file, restore }
}

function* corrupted(bytes: Buffer): Generator<readonly [what: string, bytes: Buffer]> {
  for (let at = 0; at < bytes.length; at += STEP) {
    const flipped = Buffer.from(bytes)
    flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8))
    yield [`byte ${at} flipped`, flipped]
    yield [`cut at ${at}`, bytes.subarray(0, at)]
  }
}

for (const compression of ['gzip', 'zstd'] as const) {
  const store = () => storeArchive(home, makeTar(MEMBERS), { compression, frameBytes: 4096 })

  test(`a ${compression} archive that is well is read in every way`, async () => {
    const found = await readAll(await store(), 'nothing')
    assert.ok(!(found.restore instanceof AppError))
    whole = found.restore
    assert.equal(found.verify, true)
    assert.deepEqual(found.file, CONTENT)
  })

  test(`a corrupt ${compression} archive is told of, and never restored`, async () => {
    const snapshot = await store()
    const { archive } = pack(makeTar(MEMBERS).tar, compression, 4096)
    for (const [what, bytes] of corrupted(archive)) {
      await put(home.pool, snapshot.key, bytes)
      const found = await readAll(snapshot, what)
      assert.equal(found.verify, false, what)
      assert.ok(!(found.browse instanceof AppError), `${what}: the manifest is well`)
      assert.ok(isCode(found.restore, 'damaged'), what)
      assert.ok(isCode(found.file, 'damaged') || CONTENT.equals(found.file as Buffer), what)
    }
  })

  test(`a corrupt manifest of a ${compression} archive loses nothing`, async () => {
    const snapshot = await store()
    const key = String(snapshot.details['manifestKey'])
    const manifest = await buffer(await home.pool.read(key))
    for (const [what, bytes] of corrupted(manifest)) {
      await put(home.pool, key, bytes)
      const found = await readAll(snapshot, what)
      if (!found.verify) assert.match(found.whats.join(), /manifest/, what)
      assert.ok(Array.isArray(found.browse) || isCode(found.browse, 'damaged'), what)
      assert.ok(isCode(found.file, 'damaged') || CONTENT.equals(found.file as Buffer), what)
      assert.deepEqual(found.restore, whole, what)
    }
  })

  test(`a manifest of a ${compression} archive that was packed again with a wrong byte restores nothing wrong`, async () => {
    const snapshot = await store()
    const key = String(snapshot.details['manifestKey'])
    const text = gunzipSync(await buffer(await home.pool.read(key)))
    for (const [what, bytes] of corrupted(text)) {
      const packed = gzipSync(bytes)
      await put(home.pool, key, packed)
      const details = { ...snapshot.details, manifestBytes: packed.length }
      const found = await readAll({ ...snapshot, details }, what)
      const known = ['damaged', 'not_found', 'invalid']
      assert.ok(Array.isArray(found.browse) || isCode(found.browse, 'damaged', 'invalid'), what)
      assert.ok(isCode(found.file, ...known) || CONTENT.equals(found.file as Buffer), what)
      if (!isCode(found.restore, 'damaged', 'invalid')) assert.deepEqual(found.restore, whole, what)
    }
  })
}
