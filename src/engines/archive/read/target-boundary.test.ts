import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { AppError } from '../../../core/errors.ts'
import type { Snapshot } from '../../../core/snapshot.ts'
import type { EngineTask } from '../../engine.ts'
import {
  type Home,
  makeHome,
  makeSource,
  makeTar,
  makeTask,
  mountsSkip,
  RecordingContext,
  ROOT,
  storeArchive,
} from '../archive.fixture.ts'
import { ReadPool } from './read-pool.ts'
import { RestoreArchive } from './restore.ts'
import { openPrivateFolder } from './swap-folder.ts'
import { VerifyArchive } from './verify.ts'

// Where a restore and a comparison may reach, however the path to it is bent meanwhile.

const threads = new ReadPool()
let home: Home
let snapshot: Snapshot
let data: string
let place: string
let count = 0

before(async () => {
  home = await makeHome()
  data = join(home.root, 'data')
  mkdirSync(join(data, 'inner'), { recursive: true })
  writeFileSync(join(data, 'jwt-secret'), 'secret')
  snapshot = await storeArchive(home, makeTar([ROOT, { name: 'file', content: 'restored' }]))
})
beforeEach(() => {
  count += 1
  place = join(home.root, `place-${count}`)
  mkdirSync(join(place, 'target'), { recursive: true })
})
after(async () => {
  await threads.close()
  await home.remove()
})

const options = () => ({ pools: home.pools, threads, forbiddenRoots: async () => [data] })
const restore = () => new RestoreArchive(options())
const verify = () => new VerifyArchive(options())
const taskTo = (path: string, extra: Partial<EngineTask> = {}) =>
  makeTask('restore', snapshot, { target: { path }, mode: 'replace' }, extra)
const compareWith = (path: string) => makeTask('verify', snapshot, { target: { path } })

const dataIsUntouched = () =>
  assert.deepEqual(readdirSync(data, { recursive: true }).sort(), ['inner', 'jwt-secret'])

test('bind mounts of the data folder, and of what holds it, are no targets', {
  skip: mountsSkip(),
}, async () => {
  const mounted = join(place, 'mounted')
  mkdirSync(mounted)
  const refused = async (path: string, message: RegExp) => {
    await assert.rejects(restore().check(taskTo(path)), { code: 'invalid', message }, path)
  }
  execFileSync('mount', ['--bind', data, mounted])
  try {
    for (const path of [mounted, join(mounted, 'inner'), join(mounted, 'new', 'er')]) {
      await refused(path, /lies inside the data of Holdfast/)
    }
    for (const path of [mounted, join(mounted, 'inner')]) {
      await assert.rejects(verify().check(compareWith(path)), /lies inside the data of Holdfast/)
    }
  } finally {
    execFileSync('umount', [mounted])
  }
  execFileSync('mount', ['--bind', home.root, mounted])
  try {
    await refused(mounted, /contains the data of Holdfast/)
  } finally {
    execFileSync('umount', [mounted])
  }
  await restore().check(taskTo(mounted))
  dataIsUntouched()
})

test('a parent that becomes a link to the data folder right before the swap ends the restore', async () => {
  const path = join(place, 'target')
  writeFileSync(join(path, 'own'), 'own')
  const context = new RecordingContext()
  const away = join(home.root, `away-${count}`)
  context.assertCurrent = async () => {
    renameSync(place, away)
    symlinkSync(data, place)
  }
  await assert.rejects(restore().run(taskTo(path), context), (error) => {
    assert.ok(error instanceof AppError, String(error))
    assert.equal(error.code, 'conflict')
    assert.match(error.message, /was replaced by another one meanwhile: nothing was changed there/)
    return true
  })
  assert.equal(readFileSync(join(away, 'target', 'own'), 'utf8'), 'own')
  dataIsUntouched()
})

test('what is mounted over the parent right before the swap is not renamed in', {
  skip: mountsSkip(),
}, async () => {
  const path = join(place, 'inner')
  mkdirSync(path)
  writeFileSync(join(path, 'own'), 'own')
  const context = new RecordingContext()
  context.assertCurrent = async () => {
    execFileSync('mount', ['--bind', data, place])
  }
  try {
    await assert.rejects(restore().run(taskTo(path), context), { code: 'conflict' })
  } finally {
    execFileSync('umount', [place])
  }
  assert.equal(readFileSync(join(path, 'own'), 'utf8'), 'own')
  dataIsUntouched()
})

test('a swap leads into its own folder, also when the path leads elsewhere from then on', async () => {
  const path = join(place, 'target')
  const away = join(home.root, `away-${count}`)
  let swapped = false
  const engine = new RestoreArchive({
    ...options(),
    onSwapStep: (step) => {
      if (step !== 'before-new' || swapped) return
      swapped = true
      renameSync(place, away)
      symlinkSync(data, place)
    },
  })
  // What is then at the path is none of its own: it cannot clean up there.
  await engine.run(taskTo(path), new RecordingContext())
  assert.equal(readFileSync(join(away, 'target', 'file'), 'utf8'), 'restored')
  dataIsUntouched()
})

test('what is extracted, or kept from the target, stays where the restore began', async () => {
  for (const phase of ['verifying', 'swapping']) {
    const at = join(place, phase)
    const path = join(at, 'target')
    mkdirSync(path, { recursive: true })
    writeFileSync(join(path, 'own'), 'own')
    const evil = join(place, `evil-${phase}`)
    const victim = join(place, `victim-${phase}`)
    mkdirSync(victim)
    mkdirSync(join(evil, '.holdfast-operation-1'), { recursive: true })
    symlinkSync(victim, join(evil, '.holdfast-operation-1', 'new'))
    symlinkSync(data, join(evil, 'target'))
    const context = new RecordingContext()
    let isBent = false
    context.onReport = (report) => {
      if (isBent || report.phase !== phase) return
      isBent = true
      renameSync(at, `${at}-away`)
      symlinkSync(evil, at)
    }
    const task = makeTask('restore', snapshot, { target: { path }, mode: 'merge' })
    await assert.rejects(restore().run(task, context), { code: 'conflict' }, phase)
    assert.ok(isBent)
    assert.deepEqual(readdirSync(victim), [], 'it was extracted elsewhere')
    const found = readdirSync(`${at}-away`, { recursive: true }).map(String)
    assert.ok(!found.some((name) => name.endsWith('jwt-secret')), 'the secret was kept')
    assert.deepEqual(readdirSync(join(`${at}-away`, 'target')), ['own'])
  }
  dataIsUntouched()
})

test('a private directory is one that is ours and closed to others', () => {
  const own = join(place, 'own')
  mkdirSync(own, { mode: 0o700 })
  openPrivateFolder(own).close()
  chmodSync(own, 0o701)
  assert.throws(() => openPrivateFolder(own), { code: 'ESTALE' })
  chmodSync(own, 0o700)
  symlinkSync(own, join(place, 'link'))
  assert.throws(() => openPrivateFolder(join(place, 'link')), { code: 'ESTALE' })
  if (process.getuid?.() !== 0) return
  chownSync(own, 65534, 65534)
  assert.throws(() => openPrivateFolder(own), { code: 'ESTALE' })
})

test('subjects are real paths, and hold the source wherever the target overlaps it', async () => {
  symlinkSync(join(place, 'target'), join(place, 'link'))
  const subjects = (path: string, source: string | null = null) =>
    restore().subjects(taskTo(path, { source: source === null ? null : makeSource(source) }))
  const real = join(place, 'target')
  assert.deepEqual(subjects(join(place, 'link', 'new', 'er')), [`path:${real}/new/er`])
  assert.deepEqual(verify().subjects(compareWith(join(place, 'link'))), [`path:${real}`])
  for (const path of [real, join(place, 'link'), join(place, 'link/in/it'), place]) {
    assert.ok(subjects(path, real).includes('source:source'), path)
    assert.ok(subjects(path, join(place, 'link')).includes('source:source'), path)
  }
  assert.ok(!subjects(join(place, 'target2'), real).includes('source:source'))
})

test('a path that leads elsewhere than when it was asked for is refused', async () => {
  const one = join(place, 'one')
  const other = join(place, 'other')
  for (const folder of [one, other]) mkdirSync(join(folder, 'target'), { recursive: true })
  const link = join(place, 'way')
  symlinkSync(one, link)
  const path = join(link, 'target')
  for (const engine of [restore(), verify()]) {
    const task = engine instanceof RestoreArchive ? taskTo(path) : compareWith(path)
    const held = { ...task, subjects: engine.subjects(task) }
    execFileSync('ln', ['-sfn', other, link])
    const message = /leads to another folder than when this was asked for/
    await assert.rejects(engine.run(held, new RecordingContext()), { code: 'conflict', message })
    execFileSync('ln', ['-sfn', one, link])
  }
  assert.deepEqual(readdirSync(join(other, 'target')), [])
})

test('an account that may not use a folder neither restores to it nor compares it', async () => {
  const asked: string[] = []
  const assertAllowedPath = async (task: object, realPath: string, given: string) => {
    asked.push(`${(task as EngineTask).accountId} ${realPath}`)
    if (realPath.startsWith(join(home.root, 'place'))) throw new AppError('forbidden', given)
  }
  const path = join(place, 'target')
  const engines = [
    [new RestoreArchive({ ...options(), assertAllowedPath }), taskTo(path)],
    [new VerifyArchive({ ...options(), assertAllowedPath }), compareWith(path)],
  ] as const
  for (const [engine, task] of engines) {
    await assert.rejects(engine.check(task), { code: 'forbidden' })
    await assert.rejects(engine.run(task, new RecordingContext()), { code: 'forbidden' })
  }
  assert.deepEqual(asked, Array(4).fill(`admin ${path}`))
  assert.deepEqual(readdirSync(place), ['target'])
})

test('what the file system refuses is said in a sentence', async () => {
  const loop = join(place, 'loop')
  symlinkSync(loop, loop)
  writeFileSync(join(place, 'file'), '')
  const refusals: [string, string, RegExp][] = [
    [join(place, 'n'.repeat(300)), 'invalid', /too long for its file system: take a shorter one/],
    [join(place, 'x/'.repeat(2500)), 'invalid', /too long for its file system/],
    [join(place, 'n'.repeat(300), 'x'), 'invalid', /too long for its file system/],
    [join(loop, 'x', 'y'), 'invalid', /lead in a circle/],
    [join(place, 'file', 'x', 'y'), 'invalid', /lies below a file/],
    ['/proc/holdfast/x', 'invalid', /no folder can be made for \/proc\/holdfast\/x/],
  ]
  for (const [path, code, message] of refusals) {
    const tried = async () => {
      const engine = restore()
      await engine.check(taskTo(path))
      await engine.run(taskTo(path), new RecordingContext())
    }
    await assert.rejects(tried, (error) => {
      assert.ok(error instanceof AppError, `${path.slice(0, 60)}: ${error}`)
      assert.equal(error.code, code)
      assert.match(error.message, message)
      return true
    })
  }
})

test('a read-only file system is said to be one', { skip: mountsSkip() }, async () => {
  const mounted = join(place, 'target')
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'ro', 'tmpfs', mounted])
  try {
    for (const path of [mounted, join(mounted, 'new', 'one')]) {
      const message = /the file system of .* is read-only: restore elsewhere/
      await assert.rejects(restore().check(taskTo(path)), { code: 'forbidden', message }, path)
    }
  } finally {
    execFileSync('umount', [mounted])
  }
})

test('an entry whose path is too long for the target is named', async () => {
  const deep = Array.from({ length: 25 }, () => 'd'.repeat(200))
  const folders = deep.map((_, index) => ({
    name: deep.slice(0, index + 1).join('/'),
    type: 'directory' as const,
  }))
  const entries = {
    'a deep folder': [ROOT, ...folders],
    'a long name': [ROOT, { name: 'n'.repeat(300), content: 'x' }],
    'a long link': [ROOT, { name: 'l', type: 'symlink' as const, linkTarget: 'x'.repeat(5000) }],
  }
  for (const [what, members] of Object.entries(entries)) {
    const stored = await storeArchive(home, makeTar(members))
    const path = join(place, 'new', 'target')
    const task = makeTask('restore', stored, { target: { path } })
    await assert.rejects(restore().run(task, new RecordingContext()), (error) => {
      assert.ok(error instanceof AppError, `${what}: ${error}`)
      assert.equal(error.code, 'invalid')
      assert.match(error.message, /cannot be made there: its name or its path is too long/)
      return true
    })
    assert.ok(!existsSync(join(place, 'new')), 'nothing is left')
  }
})
