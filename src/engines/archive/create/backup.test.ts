import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import {
  chmodSync,
  createReadStream,
  existsSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process, { getuid } from 'node:process'
import { after, suite, test } from 'node:test'
import type { EngineResult } from '../../engine.ts'
import type { ManifestEntry } from '../format/manifest.ts'
import { readManifest } from '../format/manifest-file.ts'
import { type BackupWorld, createWorld, recordRun } from './backup.test-support.ts'
import { Threads } from './threads.ts'

const threads = new Threads()
after(() => threads.close())

async function inWorld(run: (world: BackupWorld) => Promise<void>, options = {}): Promise<void> {
  const world = createWorld(threads, options)
  try {
    await run(world)
  } finally {
    world.close()
  }
}

const archiveOf = (world: BackupWorld, result: EngineResult): string =>
  join(world.poolRoot, result.snapshot?.key ?? '')

async function entriesOf(world: BackupWorld, result: EngineResult): Promise<ManifestEntry[]> {
  const key = String(result.snapshot?.details['manifestKey'])
  const entries: ManifestEntry[] = []
  // Readers refuse a manifest of another size than was recorded.
  assert.equal(statSync(join(world.poolRoot, key)).size, result.snapshot?.details['manifestBytes'])
  for await (const line of readManifest(createReadStream(join(world.poolRoot, key)))) {
    if (line.line === 'entry') entries.push(line)
  }
  return entries
}

const tarDiff = (world: BackupWorld, result: EngineResult): string =>
  execFileSync('tar', ['-df', archiveOf(world, result), '-C', world.tree], {
    stdio: ['ignore', 'pipe', 'ignore'],
  }).toString()

const isCode =
  (code: string, text = /./) =>
  (error: unknown) => {
    const known = error as Error & { code?: string }
    assert.equal(known.code, code, String(known.stack))
    assert.match(known.message, text)
    return true
  }

/** Root may read everything, so that it has to be somebody else for a while. */
async function asNobody(folder: string, run: () => Promise<void>): Promise<void> {
  if (getuid?.() !== 0) return run()
  execFileSync('chown', ['-R', '65534', folder])
  process.seteuid?.(65534)
  try {
    await run()
  } finally {
    process.seteuid?.(0)
  }
}

function makeHostileTree(tree: string): void {
  mkdirSync(join(tree, 'a', 'b'), { recursive: true })
  mkdirSync(join(tree, 'empty'))
  const odd = [
    'new\nline',
    'tab\t',
    '-dash',
    ' space ',
    '"quote"',
    '*',
    'ünï',
    'b\\s',
    'x=y',
    "'",
    '...',
  ]
  for (const name of odd) writeFileSync(join(tree, name), name)
  writeFileSync(join(tree, `${'n'.repeat(250)}`), 'long')
  const deep = join(tree, ...Array.from({ length: 40 }, (_, index) => `level-${index}`))
  mkdirSync(deep, { recursive: true })
  writeFileSync(join(deep, 'bottom'), 'deep')
  const raw = Buffer.concat([Buffer.from(`${tree}/raw-`), Buffer.from([0x80, 0xff, 0x0a, 0xfe])])
  mkdirSync(raw)
  writeFileSync(Buffer.concat([raw, Buffer.from([0x2f, 0xc3, 0x28])]), 'bytes')
  symlinkSync(Buffer.from([0xff, 0x2f, 0xfe]), join(tree, 'raw-link'))
  symlinkSync('t'.repeat(300), join(tree, 'long-link'))
  writeFileSync(join(tree, 'first'), 'linked')
  linkSync(join(tree, 'first'), join(tree, 'a', 'b', 'again'))
  chmodSync(join(tree, 'first'), 0o4711)
  chmodSync(join(tree, 'empty'), 0o1777)
  utimesSync(join(tree, 'x=y'), 1_000_000_000.123, 1_000_000_000.123)
  lutimesSync(join(tree, 'raw-link'), 5, 5)
  utimesSync(join(tree, 'ünï'), -5, -5)
  writeFileSync(join(tree, 'holes'), '')
  truncateSync(join(tree, 'holes'), 3 * 1024 * 1024)
}

suite('a backup of a folder', () => {
  for (const compression of ['none', 'gzip', 'zstd'] as const) {
    test(`holds what the tree holds, as GNU tar reads it (${compression})`, () =>
      inWorld(async (world) => {
        makeHostileTree(world.tree)
        const run = recordRun()
        const result = await world.engine.run(world.task({ compression }), run.context)
        assert.equal(tarDiff(world, result), '')
        assert.deepEqual(run.warnings, [])
        const bytes = readFileSync(archiveOf(world, result))
        assert.equal(createHash('sha256').update(bytes).digest('hex'), result.snapshot?.sha256)
        assert.equal(bytes.length, result.snapshot?.bytes)
        const out = join(world.folder, 'out')
        mkdirSync(out)
        execFileSync('tar', ['-xpf', archiveOf(world, result), '-C', out], { stdio: 'ignore' })
        const list = (folder: string): string =>
          execFileSync('find', ['.', '-printf', '%p\\0%y\\0%m\\0%Ts\\0%l\\0%n\\n'], { cwd: folder })
            .toString('latin1')
            .split('\n')
            .sort()
            .join('\n')
        assert.equal(list(out), list(world.tree))
      }))
  }

  test('writes a manifest that says the same, with the hash of each file', () =>
    inWorld(async (world) => {
      makeHostileTree(world.tree)
      const result = await world.engine.run(world.task(), recordRun().context)
      const entries = await entriesOf(world, result)
      const tar = readFileSync(archiveOf(world, result))
      for (const entry of entries.filter(({ type }) => type === 'file')) {
        const content = tar.subarray(entry.offset, entry.offset + entry.bytes)
        const sha256 = createHash('sha256').update(content).digest('hex')
        assert.equal(entry.sha256, sha256, entry.path)
      }
      const holes = entries.find(({ path }) => path === 'holes')
      assert.equal(holes?.sparse, true)
      const again = entries.find(({ type }) => type === 'hardlink')
      assert.equal(again?.path, 'first')
      assert.equal(again?.linkTarget, 'a/b/again')
      assert.equal(entries[0]?.path, '.')
    }))

  test('orders entries depth first by the bytes of their names, a directory before its content', () =>
    inWorld(async (world) => {
      mkdirSync(join(world.tree, 'b', 'x'), { recursive: true })
      for (const name of ['b/x/1', 'b.txt', 'b/0', 'a', 'B', 'é']) {
        writeFileSync(join(world.tree, name), '')
      }
      const result = await world.engine.run(world.task(), recordRun().context)
      const paths = (await entriesOf(world, result)).map(({ path }) => path)
      assert.deepEqual(paths, ['.', 'B', 'a', 'b', 'b/0', 'b/x', 'b/x/1', 'b.txt', 'é'])
    }))

  test('leaves out what is ignored, from its totals too, and keeps the way to what is re-included', () =>
    inWorld(async (world) => {
      mkdirSync(join(world.tree, 'logs', 'deep'), { recursive: true })
      mkdirSync(join(world.tree, 'gone'))
      writeFileSync(join(world.tree, 'logs', 'a.log'), 'x'.repeat(1000))
      writeFileSync(join(world.tree, 'logs', 'deep', 'keep.log'), 'x'.repeat(10))
      writeFileSync(join(world.tree, 'gone', 'b'), 'x'.repeat(1000))
      writeFileSync(join(world.tree, 'stay'), 'x'.repeat(5))
      writeFileSync(join(world.tree, '.pteroignore'), 'stay')
      const run = recordRun()
      const ignore = 'logs\ngone\n.pteroignore\n!keep.log'
      const result = await world.engine.run(
        world.task({ compression: 'none', ignore }),
        run.context,
      )
      const paths = (await entriesOf(world, result)).map(({ path }) => path)
      assert.deepEqual(paths, ['.', 'logs', 'logs/deep', 'logs/deep/keep.log', 'stay'])
      const last = run.reports.at(-1)
      assert.deepEqual(
        [last?.bytesDone, last?.bytesTotal, last?.itemsDone, last?.itemsTotal],
        [15, 15, 2, 2],
      )
      const plain = await world.engine.run(world.task(undefined, 2), recordRun().context)
      const names = (await entriesOf(world, plain)).map(({ path }) => path)
      assert.equal(
        names.includes('stay'),
        false,
        'the file at the root holds where nothing is said',
      )
    }))

  test('tells its phases in order, and lanes that end full', () =>
    inWorld(async (world) => {
      for (let index = 0; index < 20; index += 1) {
        writeFileSync(join(world.tree, `f${index}`), randomBytes(100_000))
      }
      const run = recordRun()
      await world.engine.run(world.task(), run.context)
      const phases = [...new Set(run.reports.map(({ phase }) => phase))]
      assert.deepEqual(phases, ['scanning', 'archiving', 'publishing'])
      const last = run.reports.at(-1)
      assert.equal(last?.bytesDone, 2_000_000)
      assert.equal(last?.bytesTotal, 2_000_000)
      assert.equal(last?.itemsDone, 20)
    }))

  test('skips sockets and FIFOs and says so', () =>
    inWorld(async (world) => {
      execFileSync('mkfifo', [join(world.tree, 'pipe')])
      const server = createServer().listen(join(world.tree, 'socket'))
      await new Promise((resolve) => server.once('listening', resolve))
      try {
        const run = recordRun()
        const result = await world.engine.run(world.task(), run.context)
        assert.equal(result.snapshot?.itemCount, 0)
        const said = run.warnings.map(({ code, item }) => `${code} ${item}`)
        assert.deepEqual(said, ['skipped_special pipe', 'skipped_special socket'])
      } finally {
        await new Promise((resolve) => server.close(resolve))
      }
    }))

  test('never enters the folder of Holdfast itself, and says so', () =>
    inWorld(async (world) => {
      mkdirSync(join(world.tree, 'data'))
      writeFileSync(join(world.tree, 'data', 'secret'), 'x')
      const inner = createWorld(threads, {
        folder: world.folder,
        forbiddenRoots: async () => [join(world.tree, 'data')],
      })
      const run = recordRun()
      const result = await inner.engine.run(inner.task(), run.context)
      assert.deepEqual(
        (await entriesOf(inner, result)).map(({ path }) => path),
        ['.'],
      )
      assert.equal(run.warnings[0]?.code, 'skipped_own_data')
      const { folder } = world
      const inside = createWorld(threads, { folder, forbiddenRoots: async () => [folder] })
      await assert.rejects(inside.engine.check(inside.task()), isCode('invalid', /Holdfast itself/))
    }))

  test('counts what it cannot read as warnings, and fails where it cannot read the root', () =>
    inWorld(async (world) => {
      writeFileSync(join(world.tree, 'closed'), 'x', { mode: 0 })
      mkdirSync(join(world.tree, 'shut'), { mode: 0 })
      await asNobody(world.folder, async () => {
        const run = recordRun()
        const result = await world.engine.run(world.task(), run.context)
        const said = run.warnings.map(({ code, item }) => `${code} ${item}`)
        assert.deepEqual(said, ['unreadable closed', 'unreadable shut'])
        const paths = (await entriesOf(world, result)).map(({ path }) => path)
        assert.deepEqual(paths, ['.', 'shut'])
        chmodSync(world.tree, 0)
        const refused = isCode('forbidden', /may not be read/)
        await assert.rejects(world.engine.run(world.task(), recordRun().context), refused)
        chmodSync(world.tree, 0o700)
      })
    }))

  test('says which folder is missing, or is none', () =>
    inWorld(async (world) => {
      rmSync(world.tree, { recursive: true })
      await assert.rejects(world.engine.check(world.task()), isCode('not_found', /no folder/))
      writeFileSync(world.tree, '')
      await assert.rejects(world.engine.check(world.task()), isCode('invalid', /is no folder/))
    }))

  for (const input of [{ compression: 'rar' }, { level: 'most' }, { ignore: 5 }]) {
    test(`refuses ${JSON.stringify(input)} before it is queued`, () =>
      inWorld((world) => assert.rejects(world.engine.check(world.task(input)), isCode('invalid'))))
  }
})

suite('a backup into a pool without room', () => {
  test('is refused before it begins, with both figures', () =>
    inWorld(async (world) => {
      writeFileSync(join(world.tree, 'much'), '')
      truncateSync(join(world.tree, 'much'), 2 ** 43)
      const refused = isCode('no_room', /\d+ bytes needed, \d+ bytes free/)
      await assert.rejects(world.engine.run(world.task(), recordRun().context), refused)
    }))

  test('ends with both figures when the disk fills up in the middle', async (t) => {
    const mount = mkdtempSync(join(tmpdir(), 'holdfast-full-'))
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', mount], { stdio: 'ignore' })
    } catch {
      rmSync(mount, { recursive: true })
      return t.skip('a small disk cannot be mounted here')
    }
    try {
      await inWorld(
        async (world) => {
          writeFileSync(join(world.tree, 'noise'), randomBytes(60 * 1024 * 1024))
          const task = world.task({ compression: 'zstd' })
          const refused = isCode('no_room', /\d+ bytes needed, \d+ bytes free/)
          await assert.rejects(world.engine.run(task, recordRun().context), refused)
          await world.engine.discard(task)
          assert.deepEqual(readdirSync(join(mount, 'pool', '.staging')), [])
          assert.equal(existsSync(join(mount, 'pool', 'archives')), false)
        },
        { poolRoot: join(mount, 'pool') },
      )
    } finally {
      execFileSync('umount', [mount])
      rmSync(mount, { recursive: true })
    }
  })
})
