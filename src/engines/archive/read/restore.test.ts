import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { JsonObject } from '../../../core/json.ts'
import type { Snapshot } from '../../../core/snapshot.ts'
import {
  type FixtureMember,
  type Home,
  look,
  makeHome,
  makeSource,
  makeTar,
  makeTask,
  RecordingContext,
  ROOT,
  type StoreOptions,
  storeArchive,
} from '../archive.fixture.ts'
import { COMPRESSIONS } from '../format/manifest.ts'
import { ReadPool } from './read-pool.ts'
import { RestoreArchive } from './restore.ts'

let home: Home
const threads = new ReadPool()

before(async () => {
  home = await makeHome()
})
after(async () => {
  await threads.close()
  await home.remove()
})

const engine = () =>
  new RestoreArchive({
    pools: home.pools,
    threads,
    forbiddenRoots: async () => [join(home.root, 'pool')],
  })

const long = 'long-'.repeat(45)
const binary = Buffer.concat([Buffer.from('caf'), Buffer.from([0xe9, 0xff])])
const big = Buffer.alloc(300_000, 'abcdefg')
const holes = Buffer.concat([Buffer.alloc(2_000_000), Buffer.from('end'), Buffer.alloc(3_000_000)])

/** A tree with one of everything, as the writer would order it. */
const NASTY: readonly FixtureMember[] = [
  { ...ROOT, mode: 0o750, modifiedAtNs: 1_600_000_000_500_000_000n },
  { name: 'big.bin', content: big },
  { name: binary, content: 'no utf-8' },
  { name: 'dir', type: 'directory', mode: 0o555, modifiedAtNs: 1_500_000_000_000_001_000n },
  { name: 'dir/inner', type: 'directory', mode: 0o700 },
  { name: 'dir/inner/x', content: 'x', mode: 0o400 },
  { name: 'dir/link', type: 'symlink', linkTarget: '../../../etc/passwd', mode: 0o777 },
  { name: 'empty', content: '' },
  { name: 'empty-dir', type: 'directory' },
  { name: 'first', content: 'shared by three', mode: 0o4755 },
  { name: `${long}`, content: 'a long name' },
  { name: 'new\nline "quoted" \\', content: 'odd name' },
  { name: 'second', type: 'hardlink', linkTarget: 'first', mode: 0o4755 },
  { name: 'sparse', content: holes, sparse: true },
  { name: 'test', type: 'directory' },
  { name: 'test/a.txt', content: 'a' },
  { name: 'test2', type: 'directory' },
  { name: 'test2/b.txt', content: 'b' },
  { name: 'third', type: 'hardlink', linkTarget: 'first', mode: 0o4755 },
  { name: 'über', content: 'ünïcode' },
]

let count = 0
function freshPath(name = 'target'): string {
  count += 1
  return join(home.root, `${name}-${count}`)
}

/** What GNU tar makes of the same archive. */
function extractByTar(snapshot: Snapshot): string {
  const path = freshPath('by-tar')
  mkdirSync(path)
  const archive = join(home.root, 'pool', snapshot.key)
  execFileSync('tar', ['-xpf', archive, '-C', path, '--same-owner', '--warning=no-unknown-keyword'])
  return path
}

const store = (members: readonly FixtureMember[], options: StoreOptions = {}) =>
  storeArchive(home, makeTar(members), options)

async function restore(snapshot: Snapshot, input: JsonObject, context = new RecordingContext()) {
  const task = makeTask('restore', snapshot, input)
  await engine().check(task)
  const { result } = await engine().run(task, context)
  return { result, context }
}

for (const compression of COMPRESSIONS) {
  for (const withManifest of [true, false]) {
    const how = withManifest ? 'with' : 'without'
    test(`a ${compression} archive ${how} its manifest comes back as GNU tar extracts it`, async () => {
      const snapshot = await store(NASTY, { compression, withManifest })
      const plain = await store(NASTY)
      const path = freshPath()
      const { result, context } = await restore(snapshot, { target: { path } })
      assert.deepEqual(look(path, 'whole seconds'), look(extractByTar(plain), 'whole seconds'))
      assert.equal(statSync(join(path, 'big.bin')).mtimeMs, 1_700_000_000_123.456)
      assert.equal(result['files'], 11)
      assert.equal(result['links'], 3)
      assert.equal(result['bytes'], snapshot.contentBytes)
      assert.equal(context.warnings.length, withManifest ? 0 : 1)
      assert.equal(context.reports.at(-1)?.bytesDone, snapshot.details['tarBytes'])
      assert.equal(context.reports.at(-1)?.itemsDone, 14)
      assertRising(context)
      assertNothingLeft()
    })
  }
}

function assertRising(context: RecordingContext): void {
  for (const [index, report] of context.reports.entries()) {
    const earlier = context.reports[index - 1]
    assert.ok(report.bytesDone >= (earlier?.bytesDone ?? 0), 'bytes fell')
    assert.ok(report.itemsDone >= (earlier?.itemsDone ?? 0), 'items fell')
  }
}

function assertNothingLeft(): void {
  assert.deepEqual(
    readdirSync(home.root).filter((name) => name.startsWith('.holdfast')),
    [],
  )
}

test('a sparse file takes less room than it has bytes', async () => {
  const path = freshPath()
  await restore(await store(NASTY), { target: { path } })
  const stats = statSync(join(path, 'sparse'))
  assert.equal(stats.size, holes.length)
  assert.ok(stats.blocks * 512 < 100_000, `${stats.blocks} blocks`)
})

/** A target with one file of its own, and one that the snapshot has too. */
function makeExisting(): string {
  const path = freshPath('existing')
  mkdirSync(join(path, 'test', 'own-dir'), { recursive: true })
  writeFileSync(join(path, 'test', 'own'), 'mine')
  writeFileSync(join(path, 'test', 'own-dir', 'deep'), 'mine too')
  writeFileSync(join(path, 'test', 'a.txt'), 'old')
  symlinkSync('nowhere', join(path, 'own-link'))
  writeFileSync(join(path, 'big.bin'), 'old')
  utimesSync(join(path, 'test', 'own-dir'), 1000, 2000)
  lutimesSync(join(path, 'own-link'), 1000, 3000)
  return path
}

test('merge keeps what is not in the snapshot and takes the rest from it', async () => {
  const path = makeExisting()
  const kept = lstatSync(join(path, 'test', 'own')).ino
  const { result } = await restore(await store(NASTY), { target: { path }, mode: 'merge' })
  assert.equal(readFileSync(join(path, 'test', 'own'), 'utf8'), 'mine')
  assert.equal(lstatSync(join(path, 'test', 'own')).ino, kept, 'the very same file')
  assert.equal(lstatSync(join(path, 'test', 'own')).nlink, 1)
  assert.equal(readFileSync(join(path, 'test', 'own-dir', 'deep'), 'utf8'), 'mine too')
  assert.equal(statSync(join(path, 'test', 'own-dir')).mtimeMs, 2_000_000)
  assert.equal(readlinkSync(join(path, 'own-link')), 'nowhere')
  assert.equal(readFileSync(join(path, 'test', 'a.txt'), 'utf8'), 'a')
  assert.equal(readFileSync(join(path, 'big.bin')).length, big.length)
  assert.equal(statSync(join(path, 'test')).mtimeMs, 1_700_000_000_123.456)
  assert.equal(result['keptFiles'], 3)
  assertNothingLeft()
})

test('replace leaves nothing that is not in the snapshot', async () => {
  const path = makeExisting()
  const snapshot = await store(NASTY)
  await restore(snapshot, { target: { path }, mode: 'replace' })
  assert.deepEqual(look(path, 'whole seconds'), look(extractByTar(snapshot), 'whole seconds'))
  assertNothingLeft()
})

test('in place is merge unless it is said otherwise, and holds the source', async () => {
  const path = makeExisting()
  const snapshot = await store(NASTY)
  const task = makeTask('restore', snapshot, {}, { source: makeSource(path) })
  assert.deepEqual(engine().subjects(task), [`path:${path}`, 'source:source'])
  await engine().check(task)
  await engine().run(task, new RecordingContext())
  assert.equal(readFileSync(join(path, 'test', 'own'), 'utf8'), 'mine')
  assert.equal(readFileSync(join(path, 'test', 'a.txt'), 'utf8'), 'a')
})

test('a part by path takes what is below it, and not its namesake', async () => {
  const path = freshPath()
  const { result } = await restore(await store(NASTY), { target: { path }, paths: ['test'] })
  assert.deepEqual(readdirSync(path), ['test'])
  assert.deepEqual(readdirSync(join(path, 'test')), ['a.txt'])
  assert.equal(result['files'], 1)
})

test('a part by glob makes the directories above it, and no others', async () => {
  const path = freshPath()
  await restore(await store(NASTY), { target: { path }, paths: ['**/*.txt', 'dir/*/x'] })
  assert.deepEqual(readdirSync(path), ['dir', 'test', 'test2'])
  assert.deepEqual(readdirSync(join(path, 'dir')), ['inner'])
  assert.equal(statSync(join(path, 'dir')).mode & 0o777, 0o555)
})

test('hard links are whole when the file they lead to is not wanted', async () => {
  for (const withManifest of [true, false]) {
    const path = freshPath()
    const snapshot = await store(NASTY, { withManifest })
    await restore(snapshot, { target: { path }, paths: ['second', 'third'] })
    assert.equal(readFileSync(join(path, 'second'), 'utf8'), 'shared by three')
    const [second, third] = ['second', 'third'].map((name) => statSync(join(path, name)))
    assert.equal(second?.ino, third?.ino)
    assert.equal(second?.nlink, 2)
    assert.equal((second?.mode ?? 0) & 0o7777, process.getuid?.() === 0 ? 0o4755 : 0o755)
  }
})

test('a part merged into a directory leaves the directories above it as they are', async () => {
  const path = makeExisting()
  const stats = statSync(path)
  await restore(await store(NASTY), { target: { path }, mode: 'merge', paths: ['test/a.txt'] })
  assert.equal(readFileSync(join(path, 'test', 'a.txt'), 'utf8'), 'a')
  assert.equal(readFileSync(join(path, 'big.bin'), 'utf8'), 'old')
  assert.equal(Math.round(statSync(path).mtimeMs), Math.round(stats.mtimeMs))
  assert.equal(statSync(path).mode, stats.mode)
})

test('a path that matches nothing is refused by name', async () => {
  const path = freshPath()
  await assert.rejects(restore(await store(NASTY), { target: { path }, paths: ['test', 'nope'] }), {
    code: 'not_found',
    message: 'nothing in the snapshot matches nope',
  })
  assert.equal(existsSync(path), false)
  assertNothingLeft()
})

const flip =
  (at: number) =>
  (archive: Buffer): Buffer => {
    archive[at] = (archive[at] ?? 0) ^ 1
    return archive
  }

const DAMAGES: readonly (readonly [name: string, options: StoreOptions])[] = [
  ['a flipped byte in a file', { damagedArchive: flip(600) }],
  ['a flipped byte in a header', { damagedArchive: flip(3) }],
  ['a flipped byte in the end blocks', { damagedArchive: (a) => flip(a.length - 1)(a) }],
  ['a flipped byte in a file and no manifest', { damagedArchive: flip(600), withManifest: false }],
  ['a cut tail', { damagedArchive: (a) => a.subarray(0, a.length - 1000) }],
  ['a longer tail', { damagedArchive: (a) => Buffer.concat([a, Buffer.alloc(512)]) }],
  ['a flipped byte in a gzip frame', { compression: 'gzip', damagedArchive: flip(600) }],
  ['a flipped byte in a zstd frame', { compression: 'zstd', damagedArchive: flip(200) }],
  ['a cut gzip tail', { compression: 'gzip', damagedArchive: (a) => a.subarray(0, -9) }],
]

for (const [name, options] of DAMAGES) {
  test(`${name} is told, and the target is as before`, async () => {
    const path = makeExisting()
    const before = look(path)
    const snapshot = await store(NASTY, options)
    const task = makeTask('restore', snapshot, { target: { path }, mode: 'replace' })
    await assert.rejects(engine().run(task, new RecordingContext()), { code: 'damaged' })
    assert.deepEqual(look(path), before)
    assertNothingLeft()
  })
}

test('an archive that does not match its manifest is refused, and the entry named', async () => {
  const { lines } = makeTar(NASTY.map((m) => (m.name === 'empty' ? { ...m, mode: 0o777 } : m)))
  const snapshot = await store(NASTY, { lines })
  await assert.rejects(restore(snapshot, { target: { path: freshPath() } }), {
    code: 'damaged',
    message: 'the archive does not match its manifest: empty: another mode',
  })
})

test('targets that can never work are refused with what to do', async () => {
  const snapshot = await store(NASTY)
  const file = freshPath('file')
  writeFileSync(file, '')
  const link = freshPath('link')
  symlinkSync(home.root, link)
  const refusals: readonly (readonly [JsonObject, string, RegExp])[] = [
    [{ target: { path: file } }, 'invalid', /is a file/],
    [{ target: { path: join(file, 'below') } }, 'invalid', /below a file/],
    [{ target: { path: link } }, 'invalid', /is a symlink/],
    [{ target: { path: 'relative' } }, 'invalid', /absolute/],
    [{ target: { path: '/' } }, 'invalid', /root of the file system/],
    [{ target: { path: '' } }, 'invalid', /absolute path/],
    [{ target: { path: join(home.root, 'pool', 'x') } }, 'invalid', /inside the data/],
    [{ target: { path: join(link, 'pool', 'x') } }, 'invalid', /inside the data/],
    [{ target: { path: home.root } }, 'invalid', /contains the data/],
    [{ target: { path: makeExisting() } }, 'conflict', /not empty/],
    [{ target: { path: freshPath() }, mode: 'mix' }, 'invalid', /merge or replace/],
    [{ target: { path: '/proc/x/y' } }, 'forbidden', /permission|write/],
    [{}, 'invalid', /say a target/],
  ]
  for (const [input, code, message] of refusals) {
    if (code === 'forbidden' && process.getuid?.() === 0) continue
    await assert.rejects(
      engine().check(makeTask('restore', snapshot, input)),
      { code, message },
      JSON.stringify(input),
    )
  }
  const task = makeTask('restore', snapshot, { mode: 'replace', paths: ['test'] })
  const inPlace = { ...task, source: makeSource(freshPath()) }
  await assert.rejects(engine().check(inPlace), { code: 'invalid', message: /remove the rest/ })
})

test('a missing archive is told before the restore is queued', async () => {
  const snapshot = await store(NASTY)
  await home.pool.remove(snapshot.key)
  const task = makeTask('restore', snapshot, { target: { path: freshPath() } })
  await assert.rejects(engine().check(task), { code: 'damaged', message: /missing from the pool/ })
})

test('parents of the target are made, and removed again when it fails', async () => {
  const top = freshPath()
  const path = join(top, 'a', 'b')
  const bad = await store(NASTY, { damagedArchive: flip(600) })
  await assert.rejects(restore(bad, { target: { path } }), { code: 'damaged' })
  assert.equal(existsSync(top), false)
  await restore(await store(NASTY), { target: { path } })
  assert.equal(readFileSync(join(path, 'test', 'a.txt'), 'utf8'), 'a')
})

test('a hard link made at the target during a failed merge is gone again', async () => {
  const path = makeExisting()
  linkSync(join(path, 'test', 'own'), join(path, 'test', 'own-again'))
  const snapshot = await store(NASTY, { damagedArchive: flip(600) })
  const task = makeTask('restore', snapshot, { target: { path }, mode: 'merge' })
  await assert.rejects(engine().run(task, new RecordingContext()), { code: 'damaged' })
  assert.equal(statSync(join(path, 'test', 'own')).nlink, 2)
  rmSync(path, { recursive: true })
})
