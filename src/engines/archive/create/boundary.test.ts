import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { folderIdOf } from '../../../platform/folder-identity.ts'
import { mountsSkip } from '../archive.fixture.ts'
import { type BackupWorld, createWorld, recordRun } from './backup.test-support.ts'
import { parseIgnore } from './ignore.ts'
import { Threads } from './threads.ts'
import { Walk } from './walk.ts'

// What an account must never get out of the data folder, however its path is bent meanwhile.

const threads = new Threads()
after(() => threads.close())

const SECRET = 'the key of every token'

async function inWorld(
  run: (world: BackupWorld, parent: string) => Promise<void>,
  onPoolOpen: (world: BackupWorld) => void = () => undefined,
): Promise<void> {
  let isReady = false
  const plain = createWorld(threads)
  const parent = join(plain.folder, 'parent')
  const world: BackupWorld = createWorld(threads, {
    folder: plain.folder,
    // A pool is opened right after the path was checked.
    pools: {
      open: async () => {
        if (isReady) onPoolOpen(world)
        return plain.pool
      },
    },
  })
  mkdirSync(join(world.folder, 'data', 'tree'), { recursive: true })
  writeFileSync(join(world.folder, 'data', 'tree', 'jwt-secret'), SECRET)
  mkdirSync(world.poolRoot)
  mkdirSync(join(parent, 'tree'), { recursive: true })
  writeFileSync(join(parent, 'tree', 'harmless'), 'harmless')
  isReady = true
  try {
    await run(world, parent)
  } finally {
    world.close()
  }
}

const taskAt = (world: BackupWorld, path: string) => {
  const task = world.task()
  assert.ok(task.source !== null)
  return { ...task, source: { ...task.source, config: { path } } }
}

const poolBytes = (world: BackupWorld): string =>
  readdirSync(world.poolRoot, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'))
    .join('\n')

function swapForLink(world: BackupWorld): void {
  const parent = join(world.folder, 'parent')
  if (lstatSync(parent).isSymbolicLink()) return
  renameSync(parent, join(world.folder, 'moved'))
  symlinkSync(join(world.folder, 'data'), parent)
}

test('a parent that becomes a link to the data folder after the check ends the backup', () =>
  inWorld(async (world, parent) => {
    const { context } = recordRun()
    await assert.rejects(world.engine.run(taskAt(world, join(parent, 'tree')), context), {
      code: 'conflict',
      message: /was replaced by another one while it was looked at: nothing of that was read/,
    })
    assert.ok(!poolBytes(world).includes(SECRET), 'the secret is in the pool')
  }, swapForLink))

test('another folder at the planned path is not walked, whether or not a link leads there', () =>
  inWorld(async (world, parent) => {
    const root = join(parent, 'tree')
    const walk = (never: readonly string[] = []) =>
      new Walk({
        root,
        rootId,
        ignore: parseIgnore(''),
        resume: null,
        never: new Set(never),
        onTrouble: () => undefined,
      })
    const rootId = folderIdOf(lstatSync(root, { bigint: true }))
    walk().close()
    const parentId = folderIdOf(lstatSync(parent, { bigint: true }))
    assert.throws(() => walk([rootId]), { code: 'ESTALE' }, 'the root itself is forbidden')
    assert.throws(() => walk([parentId]), { code: 'ESTALE' }, 'it lies in a forbidden folder')
    renameSync(root, join(world.folder, 'moved'))
    mkdirSync(root)
    assert.throws(() => walk(), { code: 'ESTALE' }, 'a new folder')
    rmSync(root, { recursive: true })
    symlinkSync(join(world.folder, 'moved'), root)
    assert.throws(() => walk(), { code: 'ESTALE' }, 'a link to the old one')
    rmSync(parent, { recursive: true })
    mkdirSync(join(world.folder, 'elsewhere'))
    renameSync(join(world.folder, 'moved'), join(world.folder, 'elsewhere', 'tree'))
    symlinkSync(join(world.folder, 'elsewhere'), parent)
    assert.throws(() => walk(), { code: 'ESTALE' }, 'the same folder by another way')
  }))

test('a very deep folder that becomes a link in the middle of the walk leads nowhere', () =>
  inWorld(async (world, parent) => {
    const root = join(parent, 'tree')
    const levels = Array.from({ length: 90 }, (_, level) => `l${level}`)
    mkdirSync(join(root, ...levels), { recursive: true })
    writeFileSync(join(root, ...levels, 'bottom'), 'x')
    const middle = join(root, ...levels.slice(0, 80))
    for (const name of ['y', 'z']) writeFileSync(join(middle, name), name)
    const bait = join(world.folder, 'bait')
    mkdirSync(bait)
    for (const name of ['y', 'z']) writeFileSync(join(bait, name), SECRET)
    const troubles: string[] = []
    const walk = new Walk({
      root,
      rootId: folderIdOf(lstatSync(root, { bigint: true })),
      ignore: parseIgnore(''),
      resume: null,
      never: new Set(),
      onTrouble: ({ code, path }) => troubles.push(`${code} ${path.split('/').length}`),
    })
    const read: string[] = []
    for (let entry = walk.next(); entry !== null; entry = walk.next()) {
      if (entry.kind === 'file') read.push(readFileSync(entry.osPath, 'utf8'))
      if (!entry.path.endsWith('/bottom')) continue
      renameSync(middle, join(world.folder, 'away'))
      symlinkSync(bait, middle)
    }
    assert.deepEqual(read, ['harmless', 'x'])
    assert.deepEqual(troubles, ['vanished 80'])
    walk.close()
  }))

test('a tree of many levels is walked whole, with few descriptors open', () =>
  inWorld(async (_world, parent) => {
    const root = join(parent, 'tree')
    let at = root
    for (let level = 0; level < 300; level += 1) {
      at = join(at, 'd')
      mkdirSync(at)
      writeFileSync(join(at, 'e'), String(level))
      writeFileSync(join(at, 'a'), String(level))
    }
    const before = readdirSync('/proc/self/fd').length
    const rootId = folderIdOf(lstatSync(root, { bigint: true }))
    const walk = new Walk({
      root,
      rootId,
      ignore: parseIgnore(''),
      resume: null,
      never: new Set(),
      onTrouble: ({ path }) => assert.fail(path),
    })
    let files = 0
    let most = 0
    for (let entry = walk.next(); entry !== null; entry = walk.next()) {
      if (entry.kind !== 'file') continue
      files += 1
      assert.match(readFileSync(entry.osPath, 'utf8'), /^\d+$|harmless/)
      most = Math.max(most, readdirSync('/proc/self/fd').length - before)
    }
    assert.equal(files, 601)
    assert.ok(most < 80, `${most} descriptors`)
    walk.close()
    assert.equal(readdirSync('/proc/self/fd').length, before)
  }))

test(
  'a bind mount of the data folder is neither a source nor archived',
  { skip: mountsSkip() },
  () =>
    inWorld(async (world, parent) => {
      const root = join(parent, 'tree')
      const mounted = join(root, 'mounted')
      mkdirSync(mounted)
      execFileSync('mount', ['--bind', join(world.folder, 'data'), mounted])
      try {
        for (const path of [mounted, join(mounted, 'tree')]) {
          const task = taskAt(world, path)
          await assert.rejects(world.engine.check(task), /is a folder of Holdfast itself/, path)
        }
        const run = recordRun()
        await world.engine.run(taskAt(world, root), run.context)
        assert.deepEqual(
          run.warnings.map(({ code, item }) => [code, item]),
          [['skipped_own_data', 'mounted']],
        )
        assert.ok(poolBytes(world).includes('harmless'))
        assert.ok(!poolBytes(world).includes(SECRET), 'the secret is in the pool')
      } finally {
        execFileSync('umount', [mounted])
      }
    }),
)
