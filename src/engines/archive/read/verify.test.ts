import assert from 'node:assert/strict'
import { buffer } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import type { Snapshot } from '../../../core/snapshot.ts'
import {
  type FixtureMember,
  type Home,
  makeHome,
  makeTar,
  makeTask,
  pack,
  put,
  RecordingContext,
  ROOT,
  type StoreOptions,
  storeArchive,
} from '../archive.fixture.ts'
import { COMPRESSIONS } from '../format/manifest.ts'
import { ReadPool } from './read-pool.ts'
import { VerifyArchive } from './verify.ts'

let home: Home
const threads = new ReadPool()

before(async () => {
  home = await makeHome()
})
after(async () => {
  await threads.close()
  await home.remove()
})

/** Content that no compression makes smaller than a frame. */
function noise(seed: number, bytes: number): Buffer {
  const content = Buffer.alloc(bytes)
  let state = seed
  for (let at = 0; at < bytes; at += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    content[at] = state >>> 24
  }
  return content
}

const MEMBERS: readonly FixtureMember[] = [
  ROOT,
  { name: 'a', content: noise(1, 100_000) },
  { name: 'b', content: noise(2, 100_000) },
  { name: 'c', content: noise(3, 100_000) },
  { name: 'd', type: 'directory' },
  { name: 'd/link', type: 'symlink', linkTarget: 'x' },
  { name: 'd/z', content: noise(4, 100_000) },
  { name: 'e', type: 'hardlink', linkTarget: 'a' },
]

const store = (options: StoreOptions = {}) => storeArchive(home, makeTar(MEMBERS), options)

async function verify(snapshot: Snapshot) {
  const engine = new VerifyArchive({ pools: home.pools, threads, forbiddenRoots: async () => [] })
  const context = new RecordingContext()
  const { result, verifiedWell } = await engine.run(makeTask('verify', snapshot, {}), context)
  const damages = result['damages'] as readonly { path: string | null; what: string }[]
  return {
    verifiedWell,
    result,
    context,
    paths: damages.flatMap(({ path }) => path ?? []),
    wholes: damages.flatMap(({ path, what }) => (path === null ? [what] : [])),
    whats: damages.map(({ what }) => what),
  }
}

for (const compression of COMPRESSIONS) {
  test(`a ${compression} archive that is well is verified well`, async () => {
    const found = await verify(await store({ compression }))
    assert.deepEqual(found.whats, [])
    assert.equal(found.verifiedWell, true)
    assert.equal(found.result['checkedFiles'], 4)
    assert.equal(found.result['checkedBytes'], 400_000)
    assert.equal(found.context.reports.at(-1)?.itemsDone, 6)
    assert.equal(found.context.reports.at(-1)?.itemsTotal, 6)
    assert.deepEqual(found.context.warnings, [])
  })
}

const WRONG_SHA = 'the archive has another SHA-256 than was written'

const flipAt =
  (at: number) =>
  (archive: Buffer): Buffer => {
    archive[at] = (archive[at] ?? 0) ^ 0x10
    return archive
  }

test('a flipped byte in a file names that file alone', async () => {
  const found = await verify(await store({ damagedArchive: flipAt(150_000) }))
  assert.equal(found.verifiedWell, false)
  assert.deepEqual(found.paths, ['b'])
  assert.deepEqual(found.wholes, [WRONG_SHA])
  assert.equal(found.context.warnings.length, 2)
})

test('a flipped byte in a header names that entry, and the files behind it are still checked', async () => {
  const { lines } = makeTar(MEMBERS)
  const b = lines[2]
  const headerAt = b?.line === 'entry' ? b.offset - 512 : 0
  const found = await verify(await store({ damagedArchive: flipAt(headerAt) }))
  assert.deepEqual(found.paths, ['b'])
  assert.match(found.whats.join(), /checksum/)
  assert.equal(found.result['checkedFiles'], 4)
})

for (const compression of ['gzip', 'zstd'] as const) {
  test(`a damaged ${compression} frame names the files in it and no others`, async () => {
    const frameBytes = 50_000
    const { frames } = pack(makeTar(MEMBERS).tar, compression, frameBytes)
    const third = frames[2]
    const at = third?.line === 'frame' ? third.archiveOffset + 1 : 0
    const found = await verify(await store({ compression, frameBytes, damagedArchive: flipAt(at) }))
    // The third frame holds the tar from 100,000 to 150,000: the end of a, the header and half of b.
    assert.deepEqual(found.paths, ['a', 'b'])
    // Why they are lost is told once, and that they are, of each.
    assert.equal(found.wholes.length, 2)
    assert.equal(found.wholes[0], WRONG_SHA)
    assert.match(found.wholes[1] ?? '', /^bytes \d+ to \d+ of the archive cannot be unpacked$/)
    assert.deepEqual(found.whats.slice(-2), ['it cannot be read', 'it cannot be read'])
    assert.equal(found.result['checkedFiles'], 4)
  })
}

test('a damage of the root is one of the top folder, not of a path "."', async () => {
  const found = await verify(await store({ damagedArchive: flipAt(100) }))
  assert.deepEqual(found.paths, [])
  assert.match(found.wholes.join(), /the top folder: /)
})

test('a line of the manifest that cannot be read is a damage, and no failure', async () => {
  const snapshot = await store()
  const key = String(snapshot.details['manifestKey'])
  const text = gunzipSync(await buffer(await home.pool.read(key))).toString()
  const packed = gzipSync(text.replace('"path":"c"', '"path":3'))
  await put(home.pool, key, packed)
  const details = { ...snapshot.details, manifestBytes: packed.length }
  const found = await verify({ ...snapshot, details })
  assert.equal(found.verifiedWell, false)
  assert.match(found.whats.join(), /manifest is damaged: entry without path/)
})

test('a cut tail names the files that it took', async () => {
  const found = await verify(await store({ damagedArchive: (a) => a.subarray(0, 250_000) }))
  assert.deepEqual(found.paths, ['c', 'd', 'd/link', 'd/z', 'e'])
  assert.match(found.wholes.join(), /has 250000 bytes, not the/)
})

test('a missing archive is the one damage there is', async () => {
  const snapshot = await store()
  await home.pool.remove(snapshot.key)
  const found = await verify(snapshot)
  assert.deepEqual(found.whats, ['the archive is missing from the pool'])
  assert.equal(found.verifiedWell, false)
})

test('a missing manifest is a damage, and the archive is still read to its end', async () => {
  for (const compression of COMPRESSIONS) {
    const found = await verify(await store({ compression, withManifest: false }))
    assert.deepEqual(found.whats, ['the manifest is missing from the pool'])
    assert.equal(found.result['checkedFiles'], 4)
  }
})

test('a manifest that cannot be read is a damage', async () => {
  const snapshot = await store()
  await put(home.pool, String(snapshot.details['manifestKey']), Buffer.from('no gzip'))
  const found = await verify(snapshot)
  assert.equal(found.verifiedWell, false)
  assert.match(found.whats.join(), /the manifest is damaged/)
})

test('a manifest that does not match names what differs', async () => {
  const other = makeTar(
    MEMBERS.map((member) =>
      member.name === 'c' ? { ...member, content: noise(9, 100_000) } : member,
    ),
  )
  const found = await verify(await store({ lines: other.lines }))
  assert.deepEqual(found.paths, ['c'])
  assert.deepEqual(found.whats, ['its content has another SHA-256'])
  const renamed = makeTar(
    MEMBERS.map((member) => (member.name === 'e' ? { ...member, name: 'f' } : member)),
  )
  assert.deepEqual((await verify(await store({ lines: renamed.lines }))).whats, [
    'the archive has another path for it than its manifest says',
  ])
})

test('a verify that is stopped ends with the reason it was given', async () => {
  const snapshot = await store()
  const context = new RecordingContext()
  const reason = new Error('enough')
  context.onReport = () => context.stop(reason)
  const engine = new VerifyArchive({ pools: home.pools, threads, forbiddenRoots: async () => [] })
  await assert.rejects(engine.run(makeTask('verify', snapshot, {}), context), reason)
})
