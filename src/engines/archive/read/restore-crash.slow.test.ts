import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execPath } from 'node:process'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { JsonObject } from '../../../core/json.ts'
import type { Snapshot } from '../../../core/snapshot.ts'
import { StopRequest } from '../../engine.ts'
import {
  type FixtureMember,
  type Home,
  makeHome,
  makeTar,
  makeTask,
  RecordingContext,
  ROOT,
  storeArchive,
} from '../archive.fixture.ts'
import { ReadPool } from './read-pool.ts'
import type { RestoreProgram } from './restore.test-program.ts'
import { RestoreArchive } from './restore.ts'

let home: Home
let snapshot: Snapshot
const threads = new ReadPool()

const COUNT = 3000
const MEMBERS: readonly FixtureMember[] = [
  ROOT,
  { name: 'd', type: 'directory', mode: 0o555 },
  ...Array.from({ length: COUNT }, (_, n) => ({
    name: `d/f${String(n).padStart(5, '0')}`,
    content: `content ${n}`,
  })),
  { name: 'link', type: 'hardlink', linkTarget: 'd/f00000' },
]

before(async () => {
  // In memory where there is such a place: each restore makes the whole file system durable.
  home = await makeHome(existsSync('/dev/shm') ? '/dev/shm' : tmpdir())
  snapshot = await storeArchive(home, makeTar(MEMBERS), { compression: 'zstd' })
})
after(async () => {
  await threads.close()
  await home.remove()
})

const engine = () =>
  new RestoreArchive({ pools: home.pools, threads, forbiddenRoots: async () => [] })
const program = fileURLToPath(new URL('./restore.test-program.ts', import.meta.url))
const target = () => join(home.root, 'target')
const checkpointFile = () => join(home.root, 'checkpoint.json')

function setUp(): void {
  rmSync(target(), { recursive: true, force: true })
  rmSync(checkpointFile(), { force: true })
  mkdirSync(join(target(), 'd'), { recursive: true })
  writeFileSync(join(target(), 'own'), 'mine')
  writeFileSync(join(target(), 'd', 'f00001'), 'old')
}

const makeRestore = (mode: string, attempt: number) =>
  makeTask('restore', snapshot, { target: { path: target() }, mode }, { attempt })

function runAndDie(mode: string, killAt: string): void {
  const file = join(home.root, 'program.json')
  const given: RestoreProgram = {
    poolRoot: join(home.root, 'pool'),
    task: makeRestore(mode, 1),
    checkpointFile: checkpointFile(),
    killAt,
  }
  writeFileSync(file, JSON.stringify(given))
  const { signal, stderr } = spawnSync(execPath, [program, file], { encoding: 'utf8' })
  assert.equal(signal, 'SIGKILL', `${killAt} was never met: ${stderr}`)
}

const savedCheckpoint = (): JsonObject | null =>
  existsSync(checkpointFile()) ? JSON.parse(readFileSync(checkpointFile(), 'utf8')) : null

const isOld = (): boolean =>
  readFileSync(join(target(), 'own'), 'utf8') === 'mine' &&
  readFileSync(join(target(), 'd', 'f00001'), 'utf8') === 'old' &&
  readdirSync(join(target(), 'd')).length === 1

function assertNew(mode: string): void {
  assert.equal(existsSync(join(target(), 'own')), mode === 'merge')
  assert.equal(readdirSync(join(target(), 'd')).length, COUNT)
  assert.equal(readFileSync(join(target(), 'd', 'f00001'), 'utf8'), 'content 1')
  assert.equal(readFileSync(join(target(), 'link'), 'utf8'), 'content 0')
}

const leftovers = () => readdirSync(home.root).filter((name) => name.startsWith('.holdfast'))

const STEPS = [
  'verifying:none',
  'extracting:some',
  'saved:extracting',
  'swapping:some',
  'saving:ready',
  'saved:ready',
  'swap:before-old',
  'swap:before-new',
  'swap:after-new',
  'swap:settled',
  'saving:swapped',
  'saved:swapped',
]

const MERGE_STEPS = ['saved:extracting', 'saving:ready', 'swap:before-new', 'saving:swapped']

for (const mode of ['merge', 'replace']) {
  const steps = mode === 'merge' ? MERGE_STEPS : STEPS
  for (const step of steps) {
    test(`${mode}: kill -9 at ${step} is completed by the next run`, async () => {
      setUp()
      runAndDie(mode, step)
      const context = new RecordingContext(savedCheckpoint())
      const { result } = await engine().run(makeRestore(mode, 2), context)
      assertNew(mode)
      assert.equal(result['files'], COUNT)
      assert.deepEqual(leftovers(), [])
    })
  }

  for (const step of steps.filter((name) => name !== 'saved:swapped')) {
    test(`${mode}: kill -9 at ${step} and no next run leaves the target as before`, async () => {
      setUp()
      runAndDie(mode, step)
      await engine().discard(makeRestore(mode, 1), savedCheckpoint())
      assert.ok(isOld())
      assert.deepEqual(leftovers(), [])
      await engine().discard(makeRestore(mode, 1), savedCheckpoint())
      assert.ok(isOld(), 'a second discard changes nothing')
    })
  }
}

test('where the last run may still live, the next one starts apart and still ends well', async () => {
  for (const step of ['saved:extracting', 'swap:before-new', 'swap:after-new']) {
    setUp()
    runAndDie('replace', step)
    const context = new RecordingContext(savedCheckpoint(), false)
    await engine().run(makeRestore('replace', 2), context)
    assert.equal(context.notRedone, 0, 'nothing of the other run is used')
    assertNew('replace')
    await engine().discard(makeRestore('replace', 2), context.saved)
    assertNew('replace')
    assert.deepEqual(leftovers(), [])
  }
})

test('a pause leaves a checkpoint, and the next run keeps the files that are complete', async () => {
  setUp()
  const first = new RecordingContext()
  first.onReport = ({ phase, itemsDone }) => {
    if (phase === 'extracting' && itemsDone > 100) first.stop(new StopRequest('pause'))
  }
  const quick = new RestoreArchive({
    pools: home.pools,
    threads,
    forbiddenRoots: async () => [],
    progressIntervalMs: 1,
  })
  await assert.rejects(quick.run(makeRestore('replace', 1), first), { why: 'pause' })
  assert.ok(isOld())
  assert.equal(first.saved?.['step'], 'extracting')
  const kept = Number(first.saved?.['contentBytes'])
  assert.ok(kept > 0)

  const second = new RecordingContext(first.saved)
  const { result } = await engine().run(makeRestore('replace', 2), second)
  assert.equal(second.notRedone, kept)
  assertNew('replace')
  assert.equal(result['files'], COUNT)
  assert.equal(result['bytes'], snapshot.contentBytes)
  assert.deepEqual(leftovers(), [])
})

test('what was kept but not synced before a reboot is done again', async () => {
  setUp()
  runAndDie('replace', 'saved:extracting')
  const context = new RecordingContext({ ...savedCheckpoint(), bootId: 'another boot' })
  await engine().run(makeRestore('replace', 2), context)
  assert.equal(context.notRedone, 0)
  assertNew('replace')
})

test('a run that lost its lease stops before the swap', async () => {
  setUp()
  const context = new RecordingContext()
  context.assertCurrent = async () => {
    throw new Error('another run has taken over')
  }
  await assert.rejects(engine().run(makeRestore('replace', 1), context), /taken over/)
  assert.ok(isOld())
})
