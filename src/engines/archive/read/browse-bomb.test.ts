import assert from 'node:assert/strict'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { Snapshot } from '../../../core/snapshot.ts'
import {
  type Home,
  makeHome,
  makeTar,
  makeTask,
  put,
  RecordingContext,
  ROOT,
  storeArchive,
} from '../archive.fixture.ts'
import type { ManifestEntry, ManifestLine } from '../format/manifest.ts'
import { encodeManifestLine } from '../format/manifest-file.ts'
import { ReadPool } from './read-pool.ts'
import { ArchiveReader, type ArchiveReaderOptions } from './snapshot-reader.ts'
import { VerifyArchive } from './verify.ts'

// Manifests that an attacker put into the pool in place of the one that was written.

let home: Home
const threads = new ReadPool()
const readers: ArchiveReader[] = []

before(async () => {
  home = await makeHome()
})
afterEach(async () => {
  for (const reader of readers.splice(0)) await reader.close()
  assert.deepEqual(readdirSync(cacheFolder()), [], 'nothing is left in the cache')
})
after(async () => {
  await threads.close()
  await home.remove()
})

const cacheFolder = () => join(home.root, 'cache')

function browse(snapshot: Snapshot, options: Partial<ArchiveReaderOptions> = {}) {
  const reader = new ArchiveReader({
    pools: home.pools,
    threads,
    cacheFolder: cacheFolder(),
    ...options,
  })
  readers.push(reader)
  return { reader, page: reader.browse(snapshot, { path: '', cursor: null, limit: 10 }) }
}

const store = () => storeArchive(home, makeTar([ROOT, { name: 'a', content: 'content' }]))

/** Puts another manifest there; its size may be what was recorded. */
async function replaced(packed: Buffer, sameBytes = true): Promise<Snapshot> {
  const snapshot = await store()
  await put(home.pool, String(snapshot.details['manifestKey']), packed)
  if (!sameBytes) return snapshot
  return { ...snapshot, details: { ...snapshot.details, manifestBytes: packed.length } }
}

const START: ManifestLine = { line: 'start', version: 1, compression: 'none', createdAtMs: 0 }
const entry = (path: string, type: ManifestEntry['type'] = 'file'): ManifestEntry => ({
  line: 'entry',
  path,
  type,
  bytes: 0,
  mode: 0o644,
  uid: 0,
  gid: 0,
  modifiedAtNs: '0',
  offset: 0,
})
const pack = (...lines: readonly ManifestLine[]) =>
  gzipSync([START, ...lines].map(encodeManifestLine).join(''))

const BOMBS: Readonly<Record<string, readonly [() => Buffer, RegExp]>> = {
  'a million of entries': [
    () => gzipSync(encodeManifestLine(START) + encodeManifestLine(entry('x')).repeat(1_000_000)),
    /can hold|files that were written/,
  ],
  'a million of directories': [
    () => {
      const line = encodeManifestLine(entry('x', 'directory'))
      return gzipSync(encodeManifestLine(START) + line.repeat(1_000_000))
    },
    /can hold|twice/,
  ],
  'two hundred megabytes in one line': [
    () => gzipSync(Buffer.alloc(200_000_000, 0x61)),
    /can hold/,
  ],
  'one path twice': [() => pack(entry('d', 'directory'), entry('d', 'directory')), /path twice/],
  'a path of thirty thousand directories': [
    () => pack(entry(`${'d/'.repeat(30_000)}f`)),
    /directories are missing/,
  ],
  'fewer files than were written': [() => pack(), /cut|another archive/],
}

for (const [what, [make, message]] of Object.entries(BOMBS)) {
  test(`a manifest with ${what} is refused early`, { timeout: 20_000 }, async () => {
    const snapshot = await replaced(make())
    const began = performance.now()
    await assert.rejects(browse(snapshot).page, { code: 'damaged', message })
    assert.ok(performance.now() - began < 3_000)
  })
}

test('a verify tells of a manifest bomb without unpacking it', { timeout: 20_000 }, async () => {
  const snapshot = await replaced(gzipSync(Buffer.alloc(200_000_000, 0x0a)))
  const engine = new VerifyArchive({ pools: home.pools, threads, forbiddenRoots: async () => [] })
  const { verifiedWell, result } = await engine.run(
    makeTask('verify', snapshot, {}),
    new RecordingContext(),
  )
  assert.equal(verifiedWell, false)
  assert.match(JSON.stringify(result['damages']), /than its archive can hold/)
})

test('a manifest of another size than was written is not even unpacked', async () => {
  const snapshot = await replaced(gzipSync(Buffer.alloc(1000)), false)
  await assert.rejects(browse(snapshot).page, { code: 'damaged', message: /that were written/ })
})

test('a disk without room is told before an index is built, and while it is', async () => {
  const snapshot = await store()
  const { page } = browse(snapshot, { cacheReserveBytes: Number.MAX_SAFE_INTEGER })
  await assert.rejects(page, { code: 'no_room' })
  const manifest = await home.pool.localCopy(String(snapshot.details['manifestKey']))
  const job = {
    kind: 'index',
    manifestPath: manifest.path,
    indexPath: join(cacheFolder(), 'x.index'),
    temporaryPath: join(cacheFolder(), 'x'),
    bounds: { packedBytes: null, textBytes: 1e9, lineCount: 1e9 },
    itemCount: 1,
    sha256: snapshot.sha256,
    bytesMax: 8192,
  } as const
  await assert.rejects(threads.run<'index'>(job, new AbortController().signal), {
    code: 'no_room',
    message: /8192 bytes/,
  })
})

test('a close ends an index that is being built, and leaves nothing of it', async () => {
  const program = new URL('../spin.test-program.ts', import.meta.url)
  const spinning = new ReadPool({ program, stopGraceMs: 50 })
  const { reader, page } = browse(await store(), { threads: spinning })
  const refused = assert.rejects(page, { code: 'unavailable' })
  // The build has begun when the pool was asked for the manifest, a few turns from now.
  const began = setInterval(() => void reader.close(), 20)
  await refused
  clearInterval(began)
  await spinning.close()
})

test('what a dead process was building is swept away', async () => {
  writeFileSync(join(cacheFolder(), '.building-old'), 'x')
  await assert.rejects(browse(await replaced(pack())).page, { code: 'damaged' })
})
