import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import type { Snapshot } from '../../core/snapshot.ts'
import { systemClock } from '../../platform/clock.ts'
import {
  type Home,
  look,
  makeHome,
  makeSource,
  makeTask,
  put,
  RecordingContext,
  sha256Of,
} from './archive.fixture.ts'
import { BackupDirectory } from './create/backup.ts'
import { Threads } from './create/threads.ts'
import { COMPRESSIONS, type Compression } from './format/manifest.ts'
import { ReadPool } from './read/read-pool.ts'
import { RestoreArchive } from './read/restore.ts'
import { ArchiveReader } from './read/snapshot-reader.ts'
import { VerifyArchive } from './read/verify.ts'

let home: Home
let tree: string
const writing = new Threads()
const threads = new ReadPool()

before(async () => {
  home = await makeHome()
  tree = join(home.root, 'tree')
  makeNastyTree()
})
after(async () => {
  await writing.close()
  await threads.close()
  await home.remove()
})

function makeNastyTree(): void {
  const at = (...names: string[]) => join(tree, ...names)
  mkdirSync(at('a', 'b', 'c'), { recursive: true })
  mkdirSync(at('empty'), { mode: 0o700 })
  writeFileSync(at('a', 'b', 'c', 'deep'), 'deep')
  writeFileSync(at('a-b'), 'sorts before a/b by name, after it by path')
  writeFileSync(at('nothing'), '')
  writeFileSync(at('big'), randomBytes(40 * 1024 * 1024))
  writeFileSync(at('prose'), 'word '.repeat(5_000_000))
  writeFileSync(at('n'.repeat(255)), 'long name')
  mkdirSync(at(...Array.from({ length: 12 }, () => 'd'.repeat(200))), { recursive: true })
  writeFileSync(Buffer.concat([Buffer.from(`${tree}/`), Buffer.from([0xff, 0xfe, 0x0a])]), 'raw')
  writeFileSync(at('ünï\u{1f600}'), 'unicode')
  writeFileSync(at(' leading and trailing '), 'spaces')
  symlinkSync('nowhere', at('dangling'))
  symlinkSync('../../..', at('a', 'up'))
  symlinkSync('x'.repeat(300), at('long-link'))
  linkSync(at('big'), at('a', 'hard'))
  linkSync(at('prose'), at('z-hard'))
  writeFileSync(at('mode'), 'mode')
  chmodSync(at('mode'), 0o6711)
  mkdirSync(at('sticky'))
  chmodSync(at('sticky'), 0o1777)
  writeFileSync(at('holes'), 'start')
  truncateSync(at('holes'), 20_000_000)
  for (let n = 0; n < 2000; n += 1) writeFileSync(at('a', 'b', `many-${n}`), `${n}`.repeat(n % 50))
  utimesSync(at('nothing'), 0, 0)
  utimesSync(at('mode'), 1.5, 4_000_000_000.25)
  writeFileSync(at('read-only'), 'x', { mode: 0o400 })
  chmodSync(at('a', 'b', 'c'), 0o555)
  utimesSync(at('a', 'b'), 1, 1_000_000.123456)
}

async function backUp(compression: Compression): Promise<Snapshot> {
  const engine = new BackupDirectory({
    pools: home.pools,
    threads: writing,
    clock: systemClock,
    forbiddenRoots: async () => [],
  })
  const context = new RecordingContext()
  const given = { kind: 'backup', source: makeSource(tree), snapshot: null } as const
  const task = { ...makeTask('restore', NO_SNAPSHOT, {}), ...given, input: { compression } }
  const { snapshot } = await engine.run({ ...task, operationId: randomUUID() }, context)
  assert.ok(snapshot !== undefined)
  assert.deepEqual(context.warnings, [])
  return { ...NO_SNAPSHOT, ...snapshot, id: randomUUID() }
}

const NO_SNAPSHOT: Snapshot = {
  id: '',
  accountId: 'admin',
  sourceId: 'source',
  operationId: 'operation',
  poolId: 'local',
  format: 'archive',
  key: '',
  bytes: 0,
  contentBytes: 0,
  itemCount: 0,
  sha256: '',
  warningCount: 0,
  details: {},
  pinned: false,
  verifiedAtMs: null,
  verifiedWell: null,
  createdAtMs: 0,
}

for (const compression of COMPRESSIONS) {
  test(`a nasty tree comes back from a ${compression} archive as it was`, async () => {
    const snapshot = await backUp(compression)
    const path = join(home.root, `back-${compression}`)
    const engine = new RestoreArchive({
      pools: home.pools,
      threads,
      forbiddenRoots: async () => [],
    })
    const context = new RecordingContext()
    const task = makeTask('restore', snapshot, { target: { path } })
    await engine.check(task)
    await engine.run(task, context)
    assert.deepEqual(look(path), look(tree))
    assert.deepEqual(context.warnings, [])
    assert.equal(context.reports.at(-1)?.bytesDone, context.reports.at(-1)?.bytesTotal)

    const verify = new VerifyArchive({ pools: home.pools, threads, forbiddenRoots: async () => [] })
    const proof = await verify.run(makeTask('verify', snapshot, {}), new RecordingContext())
    assert.deepEqual(proof.result['damages'], [])
    assert.equal(proof.verifiedWell, true)

    const cacheFolder = join(home.root, 'cache')
    const reader = new ArchiveReader({ pools: home.pools, threads, cacheFolder })
    const file = await reader.file(snapshot, 'a/hard')
    const whole = await file.open({ start: 0, end: file.bytes }, new AbortController().signal)
    assert.deepEqual(await buffer(whole), readFileSync(join(tree, 'big')))
    await reader.close()
  })
}

test('an archive of GNU tar is restored by its SHA-256 alone', async () => {
  const made = join(home.root, 'gnu.tar')
  execFileSync('tar', ['--format=posix', '--sort=name', '-cf', made, '-C', tree, '.'])
  const snapshot = await backUp('none')
  const bytes = readFileSync(made)
  await put(home.pool, 'archives/gnu.tar', bytes)
  const gnu: Snapshot = {
    ...snapshot,
    key: 'archives/gnu.tar',
    bytes: bytes.length,
    sha256: sha256Of(bytes),
    details: { ...snapshot.details, manifestKey: 'archives/none', tarBytes: bytes.length },
  }
  const path = join(home.root, 'back-gnu')
  const engine = new RestoreArchive({ pools: home.pools, threads, forbiddenRoots: async () => [] })
  await engine.run(makeTask('restore', gnu, { target: { path } }), new RecordingContext())
  assert.deepEqual(look(path), look(tree))
})

/** A small file system of its own at `path`; answers whether there could be one. */
function mountSmall(path: string, bytes: number): boolean {
  mkdirSync(path)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', path], {
      stdio: 'ignore',
    })
    return true
  } catch {
    return false
  }
}

const unmount = (path: string): void => void execFileSync('umount', [path])

test('a target that is a file system of its own is restored into, and taken back on failure', async (t) => {
  const snapshot = await backUp('zstd')
  const path = join(home.root, 'mounted')
  if (!mountSmall(path, 300_000_000)) return t.skip('nothing can be mounted here')
  try {
    const engine = new RestoreArchive({
      pools: home.pools,
      threads,
      forbiddenRoots: async () => [],
    })
    const run = (mode: string, context = new RecordingContext()) =>
      engine.run(makeTask('restore', snapshot, { target: { path }, mode }), context)
    writeFileSync(join(path, 'own'), 'own')
    mkdirSync(join(path, 'a'))
    copyFileSync(join(path, 'own'), join(path, 'a', 'own'))
    const before = look(path)
    const lost = new RecordingContext()
    lost.assertCurrent = async () => {
      throw new Error('taken over')
    }
    await assert.rejects(run('replace', lost), /taken over/)
    await engine.discard(makeTask('restore', snapshot, { target: { path } }), lost.saved)
    assert.deepEqual(look(path).slice(1), before.slice(1))
    await run('merge')
    assert.equal(readFileSync(join(path, 'own'), 'utf8'), 'own')
    assert.equal(readFileSync(join(path, 'a', 'own'), 'utf8'), 'own')
    assert.equal(readFileSync(join(path, 'a', 'b', 'c', 'deep'), 'utf8'), 'deep')
    await run('replace')
    // The mounted directory itself stays, and with it its own mode and time.
    assert.deepEqual(look(path).slice(1), look(tree).slice(1))
  } finally {
    unmount(path)
  }
})

test('a disk without room is told before, and one that fills up in the middle leaves all as it was', async (t) => {
  const snapshot = await backUp('zstd')
  const folder = join(home.root, 'tiny')
  if (!mountSmall(folder, 10_000_000)) return t.skip('nothing can be mounted here')
  try {
    const path = join(folder, 'target')
    mkdirSync(path)
    writeFileSync(join(path, 'own'), 'own')
    const before = look(folder)
    const engine = new RestoreArchive({
      pools: home.pools,
      threads,
      forbiddenRoots: async () => [],
    })
    const run = (record: Snapshot) =>
      engine.run(
        makeTask('restore', record, { target: { path }, mode: 'replace' }),
        new RecordingContext(),
      )
    await assert.rejects(run(snapshot), {
      code: 'no_room',
      message: /bytes needed, \d+ bytes free/,
    })
    // A record that says too little lets it begin; the manifest is put aside, as it would know better.
    const record = {
      ...snapshot,
      contentBytes: 1,
      details: { ...snapshot.details, manifestKey: 'archives/none' },
    }
    await assert.rejects(run(record), { code: 'no_room' })
    assert.deepEqual(look(folder).slice(1), before.slice(1))
  } finally {
    unmount(folder)
  }
})
