import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import type { Snapshot } from '../../core/snapshot.ts'
import { systemClock } from '../../platform/clock.ts'
import { type Home, makeHome, makeSource, makeTask, RecordingContext } from './archive.fixture.ts'
import { BackupDirectory } from './create/backup.ts'
import { Threads } from './create/threads.ts'
import { ReadPool } from './read/read-pool.ts'
import { RestoreArchive } from './read/restore.ts'
import { VerifyArchive } from './read/verify.ts'

// Real attributes of real file systems: what a tool writes is what another one reads after a restore.

const FORBIDDEN = async () => []
const EVERY_BYTE = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
const VALUES: readonly (readonly [string, Buffer])[] = [
  ['user.plain', Buffer.from('value')],
  ['user.bytes', EVERY_BYTE],
  ['user.lines', Buffer.from('one\ntwo\r\n\n# file: three\nuser.x="y"\n')],
  ['user.empty', Buffer.alloc(0)],
  ['user.zeros', Buffer.alloc(64)],
  ['user.quoted', Buffer.from('"0sAAAA"')],
  ['user.large', Buffer.alloc(300, 'l')],
]
const NAMES = [
  'user.a=b',
  'user.100%25=%3D%',
  'user.with space',
  'user.back\\slash',
  'user.ünï',
  'user.#hash',
  'user.line\nbreak',
]

function setAttribute(path: string, name: string, value: Buffer): void {
  execFileSync('setfattr', ['-h', '-n', name, '-v', `0x${value.toString('hex')}`, path], {
    stdio: 'pipe',
  })
}

/** All that another tool sees of a tree, byte for byte. */
const attributesOf = (tree: string): string =>
  execFileSync('getfattr', ['-R', '-P', '-h', '-d', '-m', '^user\\.', '-e', 'hex', '.'], {
    cwd: tree,
    encoding: 'latin1',
  })
    .split('\n\n')
    .sort()
    .join('\n\n')

/** By lines: a difference is then short enough to be read. */
const assertSame = (found: string, wanted: string) =>
  assert.deepEqual(found.split('\n'), wanted.split('\n'))

/** Why attributes cannot be tried below this folder; `false` where they can. */
function refusal(folder: string): string | false {
  if (!existsSync(folder)) return `there is no ${folder}`
  if (spawnSync('setfattr', ['--version']).error !== undefined) return 'attr is not installed'
  const trial = mkdtempSync(join(folder, 'holdfast-xattr-'))
  try {
    const set = spawnSync('setfattr', ['-n', 'user.trial', '-v', 'x', trial])
    return set.status === 0 ? false : `${folder} takes no attributes: ${set.stderr}`
  } finally {
    rmSync(trial, { recursive: true })
  }
}

function makeTree(tree: string): void {
  const at = (...names: string[]) => join(tree, ...names)
  mkdirSync(at('directory', 'inner'), { recursive: true })
  const files = [
    'file',
    'none',
    ' spaces ',
    '# file: x',
    'new\nline',
    'back\\slash',
    'ünï',
    'directory/deep',
  ]
  for (const file of files) writeFileSync(at(file), file)
  linkSync(at('file'), at('hard'))
  symlinkSync('file', at('soft'))
  for (const [name, value] of VALUES) setAttribute(at('file'), name, value)
  for (const name of NAMES) setAttribute(at('directory'), name, Buffer.from(name))
  for (const file of files.slice(2)) setAttribute(at(file), 'user.of', Buffer.from(file))
  setAttribute(at('directory', 'inner'), 'user.of', Buffer.from('inner'))
  setAttribute(tree, 'user.root', Buffer.from('the root itself'))
  // No string of Node can name it: a shell does.
  const raw = `printf raw > "$(printf 'raw\\377')"; setfattr -n user.of -v 0x7261 "$(printf 'raw\\377')"`
  execFileSync('sh', ['-c', raw], { cwd: tree })
}

const threads = new ReadPool()
const writing = new Threads()
after(async () => {
  await writing.close()
  await threads.close()
})

async function backUp(home: Home, tree: string) {
  const { pools } = home
  const engine = new BackupDirectory({
    pools,
    threads: writing,
    clock: systemClock,
    forbiddenRoots: FORBIDDEN,
  })
  const context = new RecordingContext()
  const task = { ...makeTask('restore', NO_SNAPSHOT, {}), kind: 'backup' } as const
  const made = await engine.run(
    { ...task, operationId: randomUUID(), source: makeSource(tree), snapshot: null },
    context,
  )
  assert.ok(made.snapshot !== undefined)
  return { context, result: made.result, snapshot: { ...NO_SNAPSHOT, ...made.snapshot } }
}

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

for (const base of [tmpdir(), '/dev/shm']) {
  const skip = refusal(base)
  suite(`extended attributes below ${base}`, { skip }, () => {
    let home: Home
    let tree: string
    before(async () => {
      home = await makeHome(base)
      tree = join(home.root, 'tree')
      makeTree(tree)
    })
    after(() => home.remove())

    test('come back from an archive byte for byte, whatever they and the files are called', async () => {
      const { snapshot, context, result } = await backUp(home, tree)
      assert.deepEqual(context.warnings, [])
      assert.equal(result['xattrs'], 'kept')
      const path = join(home.root, 'back')
      const restore = new RestoreArchive({ pools: home.pools, threads, forbiddenRoots: FORBIDDEN })
      const restoring = new RecordingContext()
      await restore.run(makeTask('restore', snapshot, { target: { path } }), restoring)
      assert.deepEqual(restoring.warnings, [])
      const wanted = attributesOf(tree)
      assert.match(wanted, /user\.of=0x7261/)
      assertSame(attributesOf(path), wanted)
      const verify = new VerifyArchive({ pools: home.pools, threads, forbiddenRoots: FORBIDDEN })
      const { verifiedWell } = await verify.run(
        makeTask('verify', snapshot, {}),
        new RecordingContext(),
      )
      assert.equal(verifiedWell, true)
      const compared = await verify.run(
        makeTask('verify', snapshot, { target: { path } }),
        new RecordingContext(),
      )
      assert.deepEqual(compared.result['damages'], [])
    })

    test('come out of it with tar as well', async () => {
      const { snapshot } = await backUp(home, tree)
      const path = join(home.root, 'by-tar')
      mkdirSync(path)
      const archive = join(home.root, 'pool', snapshot.key)
      execFileSync('tar', [
        '--zstd',
        '--xattrs',
        '--xattrs-include=user.*',
        '-xf',
        archive,
        '-C',
        path,
      ])
      assertSame(attributesOf(path), attributesOf(tree))
    })

    test('are told to be none where there are none', async () => {
      const bare = join(home.root, 'bare')
      mkdirSync(bare)
      writeFileSync(join(bare, 'a'), 'a')
      const { result, context } = await backUp(home, bare)
      assert.equal(result['xattrs'], 'none')
      assert.deepEqual(context.warnings, [])
    })
  })
}
