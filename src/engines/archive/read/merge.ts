import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  type Dirent,
  existsSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs'
import { basename } from 'node:path'
import { geteuid } from 'node:process'
import { AppError } from '../../../core/errors.ts'
import type { Warning } from '../../../core/outcome.ts'
import { knowFolder, openKnownFolder } from '../../../platform/folder-identity.ts'
import type { SharedProgress } from './shared-progress.ts'

/** What is at the target and not in the snapshot is taken into the new tree, without touching the target. */
export interface MergeJob {
  readonly kind: 'merge'
  readonly root: string
  readonly existing: string
  /** The restore's own directory, where it lies in the target. */
  readonly work: string
  /** Only below directories that are on both sides: the rest of the top stays where it is. */
  readonly keepTop: boolean
}

export interface MergeResult {
  readonly keptCount: number
  readonly warnings: readonly Warning[]
}

export interface RemoveJob {
  readonly kind: 'remove'
  readonly path: string
}

type Stats = ReturnType<typeof statOf>

const WARNINGS_MAX = 100

const join = (directory: Buffer, name: Buffer): Buffer =>
  Buffer.concat([directory, Buffer.from('/'), name])

const statOf = (path: Buffer) => lstatSync(path, { throwIfNoEntry: false })

const OPEN_DIRECTORY =
  constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW | constants.O_NONBLOCK
const throughDescriptors = existsSync('/proc/self/fd')

/**
 * Works in an open directory, and closes it. Whoever owns a tree may turn a
 * directory of it into a link at any moment: what is reached through the
 * descriptor stays in the directory that was found.
 */
function inDirectory<T>(
  path: Buffer,
  work: (base: Buffer) => T,
  descriptor = openSync(path, OPEN_DIRECTORY),
): T {
  try {
    return work(throughDescriptors ? Buffer.from(`/proc/self/fd/${descriptor}`) : path)
  } finally {
    closeSync(descriptor)
  }
}

const here = (base: Buffer): Buffer => join(base, Buffer.from('.'))

const list = (path: Buffer): readonly Dirent<Buffer>[] =>
  readdirSync(path, { encoding: 'buffer', withFileTypes: true })

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? ''

class Merge {
  readonly #workName: Buffer
  readonly #device: number
  readonly #progress: SharedProgress
  readonly #asRoot = geteuid?.() === 0
  readonly warnings: Warning[] = []
  keptCount = 0

  constructor(work: string, device: number, progress: SharedProgress) {
    this.#workName = Buffer.from(basename(work))
    this.#device = device
    this.#progress = progress
  }

  /** Both are directories, `existing` an open one; `shown` is its path for people. */
  merge(
    fresh: Buffer,
    existing: Buffer,
    shown: Buffer,
    level: { keepMissing: boolean; isTop: boolean },
  ): void {
    this.#assertSameDevice(existing, shown)
    const before = lstatSync(fresh)
    let opened = false
    for (const entry of list(existing)) {
      this.#progress.throwIfStopped()
      if (level.isTop && entry.name.equals(this.#workName)) continue
      const from = join(existing, entry.name)
      const to = join(fresh, entry.name)
      const shownFrom = join(shown, entry.name)
      const there = statOf(to)
      if (there === undefined) {
        if (!level.keepMissing) continue
        if (!opened && !this.#asRoot) chmodSync(fresh, 0o700)
        opened = true
        this.#keep(from, to, entry, shownFrom)
      } else if (there.isDirectory() && entry.isDirectory()) {
        const below = { keepMissing: true, isTop: false }
        inDirectory(from, (base) => this.merge(to, base, shownFrom, below))
      } else if (there.isDirectory() !== entry.isDirectory()) this.#warnReplaced(shownFrom, entry)
    }
    if (opened) dress(fresh, before, false)
  }

  #keep(from: Buffer, to: Buffer, entry: Dirent<Buffer>, shown: Buffer): void {
    if (!entry.isDirectory()) {
      keepEntry(from, to, entry, this.#asRoot)
      this.keptCount += 1
      return
    }
    inDirectory(from, (base) => {
      this.#assertSameDevice(base, shown)
      const stats = lstatSync(here(base))
      mkdirSync(to, 0o700)
      for (const child of list(base)) {
        this.#progress.throwIfStopped()
        const { name } = child
        this.#keep(join(base, name), join(to, name), child, join(shown, name))
      }
      dress(to, stats, this.#asRoot)
    })
  }

  #assertSameDevice(directory: Buffer, shown: Buffer): void {
    if (lstatSync(here(directory)).dev === this.#device) return
    throw new AppError(
      'invalid',
      `another file system is mounted at ${shown.toString()}, inside the target: unmount it, or restore elsewhere`,
    )
  }

  #warnReplaced(path: Buffer, entry: Dirent<Buffer>): void {
    if (this.warnings.length >= WARNINGS_MAX) return
    const what = entry.isDirectory() ? 'directory' : 'file'
    this.warnings.push({
      code: 'replaced',
      message: `a ${what} of the target gave way to something else of the same name in the snapshot`,
      item: path.toString(),
    })
  }
}

/** Another name for the same thing, so that it keeps all it has; a copy where that cannot be. */
function keepEntry(from: Buffer, to: Buffer, entry: Dirent<Buffer>, asRoot: boolean): void {
  try {
    linkSync(from, to)
  } catch (error) {
    if (!['EPERM', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(codeOf(error))) throw error
    if (entry.isSymbolicLink()) symlinkSync(readlinkSync(from, { encoding: 'buffer' }), to)
    else copyFileSync(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE)
    const stats = lstatSync(from)
    if (entry.isSymbolicLink()) {
      if (asRoot) lchownSync(to, stats.uid, stats.gid)
      lutimesSync(to, stats.atimeMs / 1000, stats.mtimeMs / 1000)
    } else dress(to, stats, asRoot)
  }
}

function dress(path: Buffer, stats: NonNullable<Stats>, withOwner: boolean): void {
  if (withOwner) lchownSync(path, stats.uid, stats.gid)
  chmodSync(path, stats.mode & 0o7777)
  lutimesSync(path, stats.atimeMs / 1000, stats.mtimeMs / 1000)
}

export function mergeExisting(job: MergeJob, progress: SharedProgress): MergeResult {
  const existing = Buffer.from(job.existing)
  const work = (base: Buffer): MergeResult => {
    const merge = new Merge(job.work, lstatSync(here(base)).dev, progress)
    merge.merge(Buffer.from(job.root), base, existing, { keepMissing: !job.keepTop, isTop: true })
    return { keptCount: merge.keptCount, warnings: merge.warnings }
  }
  return inDirectory(existing, work, openKnownFolder(knowFolder(job.existing)))
}

/** Removes a tree; nothing happens where there is none. Never goes into another file system. */
export function removeTree(job: RemoveJob, progress: SharedProgress): null {
  const path = Buffer.from(job.path)
  const stats = statOf(path)
  if (stats === undefined) return null
  if (stats.isDirectory()) removeDirectory(path, stats.dev, progress)
  else unlinkSync(path)
  return null
}

function removeDirectory(path: Buffer, device: number, progress: SharedProgress): void {
  // A read-only directory cannot be listed or emptied by who is not root.
  if (geteuid?.() !== 0) chmodSync(path, 0o700)
  inDirectory(path, (base) => {
    if (lstatSync(here(base)).dev !== device) {
      throw new AppError('conflict', 'another file system is mounted in what shall be removed')
    }
    for (const entry of list(base)) {
      progress.throwIfStopped()
      const child = join(base, entry.name)
      if (entry.isDirectory()) removeDirectory(child, device, progress)
      else unlinkSync(child)
    }
  })
  rmdirSync(path)
}
