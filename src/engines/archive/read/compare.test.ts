import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { AppError } from '../../../core/errors.ts'
import type { JsonObject } from '../../../core/json.ts'
import type { Snapshot } from '../../../core/snapshot.ts'
import { systemClock } from '../../../platform/clock.ts'
import { StopRequest } from '../../engine.ts'
import {
  type Home,
  look,
  makeHome,
  makeSource,
  makeTask,
  RecordingContext,
} from '../archive.fixture.ts'
import { BackupDirectory } from '../create/backup.ts'
import { Threads } from '../create/threads.ts'
import { ReadPool } from './read-pool.ts'
import { RestoreArchive } from './restore.ts'
import { VerifyArchive, type VerifyArchiveOptions } from './verify.ts'

let home: Home
let snapshot: Snapshot
let folder: string
const writing = new Threads()
const threads = new ReadPool()
const BIG_BYTES = 3_000_000

const at = (...names: string[]) => join(folder, ...names)

/** A copy that is the same to the nanosecond, hard links too. */
function copyTree(from: string, to: string): void {
  rmSync(to, { recursive: true, force: true })
  execFileSync('cp', ['-a', from, to])
}

before(async () => {
  home = await makeHome()
  const tree = join(home.root, 'tree')
  mkdirSync(join(tree, 'a', 'b'), { recursive: true })
  mkdirSync(join(tree, 'empty'))
  writeFileSync(join(tree, 'a', 'b', 'deep'), 'deep')
  writeFileSync(join(tree, 'a', 'one'), 'one')
  writeFileSync(join(tree, 'a-b'), 'beside')
  writeFileSync(join(tree, 'big'), Buffer.alloc(BIG_BYTES, 'x'))
  writeFileSync(join(tree, 'nothing'), '')
  writeFileSync(Buffer.concat([Buffer.from(`${tree}/`), Buffer.from([0xff, 0xfe])]), 'raw')
  linkSync(join(tree, 'a', 'one'), join(tree, 'z-link'))
  linkSync(join(tree, 'a', 'one'), join(tree, 'z-other'))
  symlinkSync('a/one', join(tree, 'way'))
  const engine = new BackupDirectory({
    pools: home.pools,
    threads: writing,
    clock: systemClock,
    forbiddenRoots: async () => [],
  })
  const task = makeTask('restore', NO_SNAPSHOT, {}, { source: makeSource(tree), snapshot: null })
  const made = await engine.run({ ...task, kind: 'backup', input: {} }, new RecordingContext())
  assert.ok(made.snapshot !== undefined)
  snapshot = { ...NO_SNAPSHOT, ...made.snapshot }
})
beforeEach(() => {
  folder = join(home.root, 'folder')
  copyTree(join(home.root, 'tree'), folder)
})
after(async () => {
  await writing.close()
  await threads.close()
  await home.remove()
})

const NO_SNAPSHOT: Snapshot = {
  id: 'snapshot',
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

const engineWith = (options: Partial<VerifyArchiveOptions> = {}) =>
  new VerifyArchive({ pools: home.pools, threads, forbiddenRoots: async () => [], ...options })

async function compare(
  input: JsonObject = {},
  options: Partial<VerifyArchiveOptions> = {},
  context = new RecordingContext(),
) {
  const task = makeTask('verify', snapshot, { target: { path: folder }, ...input })
  const { result, verifiedWell } = await engineWith(options).run(task, context)
  const damages = result['damages'] as readonly { path: string; what: string }[]
  const extras = result['extras'] as readonly { path: string; type: string }[]
  return {
    result,
    verifiedWell,
    context,
    said: damages.map(({ path, what }) => `${path} ${what}`),
    extras: extras.map(({ path, type }) => `${path} ${type}`),
  }
}

/** Root may read everything, so that it has to be somebody else for a while. */
async function asNobody(run: () => Promise<void>): Promise<void> {
  if (process.getuid?.() !== 0) return run()
  execFileSync('chown', ['-R', '65534', home.root])
  process.seteuid?.(65534)
  try {
    await run()
  } finally {
    process.seteuid?.(0)
    execFileSync('chown', ['-R', '0', home.root])
  }
}

const isCode = (code: string, words: RegExp) => (error: unknown) =>
  error instanceof AppError && error.code === code && words.test(error.message)

test('a folder that is as it was backed up has no difference, and nothing is said of the archive', async () => {
  const before = look(folder)
  const found = await compare()
  assert.deepEqual([found.said, found.extras], [[], []])
  assert.equal(found.verifiedWell, undefined)
  assert.equal(found.result['target'], folder)
  assert.equal(found.result['checkedFiles'], 6)
  assert.equal(found.result['checkedBytes'], BIG_BYTES + 4 + 3 + 6 + 3)
  assert.deepEqual(found.context.warnings, [])
  const last = found.context.reports.at(-1)
  assert.deepEqual([last?.phase, last?.itemsDone, last?.itemsTotal], ['comparing', 9, 9])
  assert.equal(last?.bytesDone, last?.bytesTotal)
  assert.deepEqual(look(folder), before)
})

test('a restored folder has no difference, also where a part of the snapshot was restored', async () => {
  const restore = new RestoreArchive({ pools: home.pools, threads, forbiddenRoots: async () => [] })
  for (const paths of [null, ['a/b', 'z-link', 'z-other'], ['z-*'], ['nothing']]) {
    rmSync(folder, { recursive: true })
    const input = { target: { path: folder }, ...(paths === null ? {} : { paths }) }
    await restore.run(makeTask('restore', snapshot, input), new RecordingContext())
    const found = await compare(input)
    assert.deepEqual([found.said, found.extras], [[], []], String(paths))
  }
})

test('tells a content, a size, a mode and a time that differ', async () => {
  const { mtimeMs } = lstatSync(at('big'))
  writeFileSync(at('big'), Buffer.alloc(BIG_BYTES, 'x').fill('y', BIG_BYTES - 1))
  utimesSync(at('big'), mtimeMs / 1000, mtimeMs / 1000)
  appendFileSync(at('a-b'), '!')
  chmodSync(at('nothing'), 0o600)
  chmodSync(at('empty'), 0o700)
  utimesSync(at('a', 'b', 'deep'), 1, 1)
  lutimesSync(at('way'), 1, 1)
  const { said, context, verifiedWell } = await compare()
  assert.match(said[0] ?? '', /^a\/b\/deep was modified at another time \(1970-01-01T00:00:01/)
  assert.match(said[1] ?? '', /^a-b has 7 bytes, not 6, was modified at another time/)
  assert.match(said[2] ?? '', /^big has other content/)
  assert.match(said[3] ?? '', /^empty has the mode 0700, not 0\d\d\d$/)
  assert.match(said[4] ?? '', /^nothing has the mode 0600, not 0\d\d\d$/)
  assert.match(said[5] ?? '', /^way was modified at another time/)
  assert.equal(said.length, 6)
  assert.deepEqual([...new Set(context.warnings.map(({ code }) => code))], ['differs'])
  assert.equal(verifiedWell, undefined)
})

test('a time may be a microsecond off, and no more', async () => {
  const { mtimeNs } = lstatSync(at('nothing'), { bigint: true })
  const touch = (ns: bigint) => {
    const text = `@${ns / 1_000_000_000n}.${String(ns % 1_000_000_000n).padStart(9, '0')}`
    execFileSync('touch', ['-d', text, at('nothing')])
  }
  touch(mtimeNs + 1_000n)
  assert.deepEqual((await compare()).said, [])
  touch(mtimeNs + 1_001n)
  assert.equal((await compare()).said.length, 1)
})

test('tells what is missing and what is of another type, and follows no link', async () => {
  renameSync(at('a'), at('moved'))
  symlinkSync('moved', at('a'))
  unlinkSync(at('nothing'))
  mkdirSync(at('nothing'))
  const { mtimeNs } = lstatSync(at('way'), { bigint: true })
  unlinkSync(at('way'))
  symlinkSync('a/two', at('way'))
  const seconds = Number(mtimeNs) / 1e9
  lutimesSync(at('way'), seconds, seconds)
  execFileSync('mkfifo', [at('fifo')])
  const { said, extras } = await compare()
  assert.deepEqual(said, [
    'a is a symlink, not a directory',
    'a/b is missing',
    'a/b/deep is missing',
    'a/one is missing',
    'nothing is a directory, not a file',
    'way leads to another target',
    'z-link is not the same file as a/one',
    'z-other is not the same file as a/one',
  ])
  assert.deepEqual(extras, ['fifo other', 'moved directory'])
})

test('a hard link that became a file of its own is told', async () => {
  copyFileSync(at('z-link'), at('copy'))
  renameSync(at('copy'), at('z-link'))
  const { said } = await compare()
  assert.ok(said.includes('z-link is not the same file as a/one'), said.join('\n'))
  assert.ok(!said.some((text) => text.startsWith('z-other')))
})

test('what is not in the snapshot is listed apart and is no difference', async () => {
  mkdirSync(at('more', 'inner'), { recursive: true })
  writeFileSync(at('more', 'inner', 'x'), 'x')
  writeFileSync(at('a', 'b', 'new'), 'x')
  writeFileSync(at('a.extra'), 'x')
  const found = await compare()
  assert.deepEqual(found.extras, ['a/b/new file', 'a.extra file', 'more directory'])
  assert.equal(found.result['extraCount'], 3)
  // The time of the root and of a/b is another one now, because of them.
  assert.deepEqual(found.said, [])
  assert.equal(found.result['damageCount'], 0)
  assert.deepEqual(found.context.warnings, [])
})

test('a directory is not excused where it differs by more than its time, or nothing was put into it', async () => {
  writeFileSync(at('a', 'b', 'new'), 'x')
  chmodSync(at('a', 'b'), 0o700)
  utimesSync(at('empty'), 1, 1)
  const { said } = await compare()
  assert.equal(said.length, 2)
  assert.match(said[0] ?? '', /^a\/b has the mode 0700/)
  assert.match(said[1] ?? '', /^empty was modified at another time/)
})

test('names the bytes of a name that is no UTF-8', async () => {
  const name = Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xff, 0xfe])])
  writeFileSync(name, 'war')
  const damages = (await compare()).result['damages'] as readonly JsonObject[]
  assert.equal(damages.at(-1)?.['pathBytes'], Buffer.from([0xff, 0xfe]).toString('base64'))
})

test('goes on from its checkpoint, entry by entry, to the same result', async () => {
  writeFileSync(at('a', 'one'), 'two')
  unlinkSync(at('a', 'b', 'deep'))
  writeFileSync(at('a', 'b', 'new'), 'x')
  const whole = await compare()
  assert.deepEqual([whole.said.length, whole.extras], [2, ['a/b/new file']])
  const sliced = await compare({}, { sliceMs: 0 })
  assert.deepEqual(sliced.result, whole.result)
  let checkpoint: JsonObject | null = null
  let stops = 0
  for (;;) {
    const context = new RecordingContext(checkpoint)
    context.onSave = () => context.stop(new StopRequest('pause'))
    try {
      const found = await compare({}, { sliceMs: 0 }, context)
      assert.deepEqual(found.result, whole.result)
      break
    } catch (error) {
      assert.equal(error, context.signal.reason)
      stops += 1
      checkpoint = context.saved
    }
  }
  assert.ok(stops >= 10, `stopped ${stops} times`)
})

test('says so where the manifest is missing or belongs to another archive', async () => {
  const lost = { ...snapshot, details: { ...snapshot.details, manifestKey: 'archives/none' } }
  const task = makeTask('verify', lost, { target: { path: folder } })
  const missing = isCode('damaged', /manifest is missing from the pool/)
  await assert.rejects(engineWith().check(task), missing)
  await assert.rejects(engineWith().run(task, new RecordingContext()), missing)
  const other = makeTask('verify', { ...snapshot, sha256: '00' }, { target: { path: folder } })
  const run = engineWith().run(other, new RecordingContext())
  await assert.rejects(run, isCode('damaged', /belongs to another archive/))
})

test('refuses a folder that is not there, is a link, a file or of Holdfast itself', async () => {
  const check = (path: unknown, roots: readonly string[] = []) =>
    engineWith({ forbiddenRoots: async () => roots }).check(
      makeTask('verify', snapshot, { target: { path } as JsonObject }),
    )
  await check(folder)
  symlinkSync(folder, join(home.root, 'link'))
  await assert.rejects(check(at('none')), isCode('not_found', /there is no folder/))
  await assert.rejects(check(join(home.root, 'link')), isCode('invalid', /is a symlink/))
  await assert.rejects(check(at('big')), isCode('invalid', /is a file/))
  await assert.rejects(check('relative'), isCode('invalid', /absolute/))
  await assert.rejects(check(5), isCode('invalid', /absolute path/))
  await assert.rejects(check(at('a', 'b'), [at('a')]), isCode('invalid', /data of Holdfast/))
  const paths = makeTask('verify', snapshot, { paths: ['a'] })
  await assert.rejects(engineWith().check(paths), isCode('invalid', /belong to a target/))
})

test('what may not be read is told, with what is in it, and does not end the comparison', async () => {
  chmodSync(at('a', 'b'), 0o500)
  const { mode } = lstatSync(at('a', 'b'))
  chmodSync(at('a'), 0)
  chmodSync(at('nothing'), 0)
  await asNobody(async () => {
    const { said, extras } = await compare()
    assert.deepEqual(said.slice(0, 2), [
      'a cannot be listed (EACCES): nothing in it was compared',
      'nothing cannot be read (EACCES)',
    ])
    // Nobody could see the file that they are names of.
    assert.ok(
      said.slice(2).every((text) => text.startsWith('z-')),
      said.join(),
    )
    assert.deepEqual(extras, [])
  })
  chmodSync(at('a'), 0o755)
  assert.equal(lstatSync(at('a', 'b')).mode, mode)
})

test('never looks into a folder of Holdfast below the target', async () => {
  mkdirSync(at('data'))
  writeFileSync(at('data', 'secret'), 'x')
  const { extras } = await compare({}, { forbiddenRoots: async () => [at('data')] })
  assert.deepEqual(extras, [])
})

test('holds the path it compares, so that nothing is restored into it meanwhile', () => {
  const task = makeTask('verify', snapshot, { target: { path: `${folder}/` } })
  assert.deepEqual(engineWith().subjects(task), [`path:${folder}`])
})
