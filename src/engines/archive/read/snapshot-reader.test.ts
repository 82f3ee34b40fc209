import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import type { Snapshot } from '../../../core/snapshot.ts'
import type { ByteRange } from '../../../pools/pool.ts'
import {
  type FixtureMember,
  type Home,
  makeHome,
  makeTar,
  ROOT,
  type StoreOptions,
  storeArchive,
} from '../archive.fixture.ts'
import { COMPRESSIONS } from '../format/manifest.ts'
import { ReadPool } from './read-pool.ts'
import { ArchiveReader } from './snapshot-reader.ts'

let home: Home
let reader: ArchiveReader
const threads = new ReadPool()

before(async () => {
  home = await makeHome()
  reader = makeReader()
})
after(async () => {
  await reader.close()
  await threads.close()
  await home.remove()
})

const cacheFolder = () => join(home.root, 'cache')
const makeReader = (cacheBytesMax?: number) =>
  new ArchiveReader({
    pools: home.pools,
    threads,
    cacheFolder: cacheFolder(),
    ...(cacheBytesMax === undefined ? {} : { cacheBytesMax }),
  })

const big = randomBytes(300_000)
const odd = Buffer.from([0x66, 0xe9, 0x67])
const MEMBERS: readonly FixtureMember[] = [
  ROOT,
  { name: 'B', content: 'capital' },
  { name: 'a', content: 'first', mode: 0o600 },
  { name: 'dir', type: 'directory', mode: 0o700 },
  { name: 'dir/big', content: big },
  { name: 'dir/deep', type: 'directory' },
  { name: 'dir/deep/x', content: 'deep' },
  { name: 'empty', content: '' },
  { name: odd, content: 'odd' },
  { name: 'hard', type: 'hardlink', linkTarget: 'dir/big' },
  { name: 'soft', type: 'symlink', linkTarget: '/etc/passwd' },
  { name: 'zoo', type: 'directory' },
]

const store = (options: StoreOptions = {}) =>
  storeArchive(home, makeTar(MEMBERS), { frameBytes: 50_000, ...options })

async function names(snapshot: Snapshot, path = '', limit = 100): Promise<readonly string[]> {
  const found: string[] = []
  let cursor: string | null = null
  do {
    const page: Awaited<ReturnType<ArchiveReader['browse']>> = await reader.browse(snapshot, {
      path,
      cursor,
      limit,
    })
    assert.ok(page.entries.length <= limit)
    found.push(...page.entries.map((entry) => entry.path))
    cursor = page.cursor
  } while (cursor !== null)
  return found
}

const never = new AbortController().signal

async function content(snapshot: Snapshot, path: string, range?: ByteRange): Promise<Buffer> {
  const file = await reader.file(snapshot, path)
  return buffer(await file.open(range ?? { start: 0, end: file.bytes }, never))
}

test('a directory is listed in the order of names, directories first', async () => {
  const snapshot = await store()
  const top = ['dir', 'zoo', 'B', 'a', 'empty', 'f\ufffdg', 'hard', 'soft']
  assert.deepEqual(await names(snapshot), top)
  assert.deepEqual(await names(snapshot, 'dir'), ['dir/deep', 'dir/big'])
  assert.deepEqual(await names(snapshot, 'zoo'), [])
  for (const limit of [1, 2, 3, 8, 9]) assert.deepEqual(await names(snapshot, '', limit), top)
})

test('an entry tells what it is', async () => {
  const snapshot = await store()
  const { entries } = await reader.browse(snapshot, { path: './', cursor: null, limit: 100 })
  const named = (path: string) => entries.find((entry) => entry.path === path)
  const { sha256, ...rest } = named('a') ?? {}
  assert.equal(sha256?.length, 64)
  assert.deepEqual(rest, {
    path: 'a',
    type: 'file',
    bytes: 5,
    mode: 0o600,
    modifiedAtMs: 1_700_000_000_123,
    linkTarget: null,
    pathBytes: null,
  })
  assert.equal(named('soft')?.linkTarget, '/etc/passwd')
  assert.equal(named('hard')?.type, 'hardlink')
  assert.equal(named('f\ufffdg')?.pathBytes, odd.toString('base64'))
})

test('what is not there, is no directory or leads out is refused', async () => {
  const snapshot = await store()
  const browse = (path: string, cursor: string | null = null) =>
    reader.browse(snapshot, { path, cursor, limit: 10 })
  await assert.rejects(browse('nope'), { code: 'not_found' })
  await assert.rejects(browse('dir/nope/x'), { code: 'not_found' })
  await assert.rejects(browse('a'), { code: 'invalid', message: /no directory/ })
  await assert.rejects(browse('dir/../a'), { code: 'invalid' })
  await assert.rejects(browse('', 'bm9uZQ'), { code: 'invalid', message: /cursor/ })
  await assert.rejects(reader.file(snapshot, 'nope'), { code: 'not_found' })
  await assert.rejects(reader.file(snapshot, ''), { code: 'not_found' })
  await assert.rejects(reader.file(snapshot, 'dir'), { code: 'invalid', message: /not a file/ })
  await assert.rejects(reader.file(snapshot, 'soft'), { code: 'invalid', message: /symlink/ })
})

for (const compression of COMPRESSIONS) {
  test(`a file comes out of a ${compression} archive whole and by any range`, async () => {
    const snapshot = await store({ compression })
    assert.deepEqual(await content(snapshot, 'dir/big'), big)
    assert.deepEqual(await content(snapshot, 'hard'), big)
    assert.equal((await content(snapshot, 'empty')).length, 0)
    assert.equal((await content(snapshot, 'f\ufffdg')).toString(), 'odd')
    for (const [start, end] of [
      [0, 1],
      [49_000, 51_500],
      [120_000, 290_000],
      [299_999, 300_000],
      [5, 5],
      [299_990, 400_000],
    ] as const) {
      assert.deepEqual(await content(snapshot, 'dir/big', { start, end }), big.subarray(start, end))
    }
  })
}

test('only the frames of a range are read', async () => {
  const snapshot = await store({ compression: 'zstd' })
  const read: number[] = []
  const { pool } = home
  const watching = new ArchiveReader({
    pools: {
      open: async () =>
        new Proxy(pool, {
          get: (target, name) => {
            if (name === 'read') {
              return (key: string, range: ByteRange, signal: AbortSignal) => {
                read.push(range.end - range.start)
                return target.read(key, range, signal)
              }
            }
            const value = Reflect.get(target, name)
            return typeof value === 'function' ? value.bind(target) : value
          },
        }),
    },
    threads,
    cacheFolder: cacheFolder(),
  })
  const file = await watching.file(snapshot, 'dir/big')
  await buffer(await file.open({ start: 120_000, end: 120_010 }, never))
  await watching.close()
  assert.equal(read.length, 1)
  assert.ok((read[0] ?? 0) < 60_000, `${read[0]} bytes for ten`)
})

test('a whole file that is damaged fails at its end instead of being wrong', async () => {
  const damagedArchive = (archive: Buffer) => archive.fill(0, 100_000, 100_010)
  const snapshot = await store({ damagedArchive })
  await assert.rejects(content(snapshot, 'dir/big'), { code: 'damaged' })
  const packed = await store({ compression: 'gzip', damagedArchive })
  await assert.rejects(content(packed, 'dir/big'), { code: 'damaged' })
  assert.equal((await content(packed, 'a')).toString(), 'first')
})

test('the whole archive comes as it rests', async () => {
  const snapshot = await store({ compression: 'gzip' })
  const whole = await reader.whole(snapshot)
  assert.equal(whole.sha256, snapshot.sha256)
  const bytes = await buffer(await whole.open({ start: 0, end: whole.bytes }, never))
  assert.equal(bytes.length, snapshot.bytes)
})

test('without a manifest it says why there is nothing to browse', async () => {
  const snapshot = await store({ withManifest: false })
  await assert.rejects(names(snapshot), {
    code: 'damaged',
    message: /manifest is missing.*restored/,
  })
  await assert.rejects(content(snapshot, 'a'), { code: 'damaged' })
})

test('an index that is gone, broken or over the bound is built again', async () => {
  const snapshot = await store()
  const tight = makeReader(1)
  const page = async () =>
    (await tight.browse(snapshot, { path: 'dir', cursor: null, limit: 9 })).entries.length
  assert.equal(await page(), 2)
  await tight.browse(await store(), { path: '', cursor: null, limit: 1 })
  assert.equal(readdirSync(cacheFolder()).length, 1, 'only the newest is kept')
  await tight.close()
  rmSync(cacheFolder(), { recursive: true })
  assert.equal(await page(), 2)
  await tight.close()
})

test('many who ask at once get one index', async () => {
  const snapshot = await store()
  const all = await Promise.all(Array.from({ length: 10 }, () => names(snapshot)))
  assert.ok(all.every((found) => found.length === 8))
})

test('remove takes the archive, its manifest and its index, and may be called again', async () => {
  const snapshot = await store()
  await names(snapshot)
  await reader.remove(snapshot)
  await reader.remove(snapshot)
  assert.equal(await home.pool.stat(snapshot.key), null)
  assert.equal(await home.pool.stat(String(snapshot.details['manifestKey'])), null)
  assert.ok(!readdirSync(cacheFolder()).some((name) => name.startsWith(snapshot.id)))
})

test('a file whose path is no UTF-8 is read by the bytes that it was listed with', async () => {
  const folder = Buffer.from([0x64, 0xff])
  const twins = [0xfe, 0xff].map((byte) => Buffer.concat([folder, Buffer.from([0x2f, byte])]))
  const tar = makeTar([
    ROOT,
    { name: folder, type: 'directory' },
    { name: Buffer.concat([folder, Buffer.from('/plain')]), content: 'plain' },
    ...twins.map((name) => ({ name, content: name.toString('hex') })),
  ])
  const snapshot = await storeArchive(home, tar)
  const page = await reader.browse(snapshot, { path: 'd\ufffd', cursor: null, limit: 9 })
  const read: string[] = []
  for (const { pathBytes } of page.entries) {
    const file = await reader.file(snapshot, Buffer.from(pathBytes ?? '', 'base64'))
    read.push((await buffer(await file.open({ start: 0, end: file.bytes }, never))).toString())
  }
  assert.deepEqual(read, ['plain', ...twins.map((name) => name.toString('hex'))])
  for (const none of ['d\xff/none', '', '../d', 'x\0']) {
    await assert.rejects(reader.file(snapshot, Buffer.from(none, 'latin1')))
  }
})
