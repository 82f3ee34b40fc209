import {
  chmodSync,
  constants,
  copyFileSync,
  type Dirent,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs'
import { geteuid } from 'node:process'
import { AppError } from '../../../core/errors.ts'
import type { Warning } from '../../../core/outcome.ts'
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

const list = (path: Buffer): readonly Dirent<Buffer>[] =>
  readdirSync(path, { encoding: 'buffer', withFileTypes: true })

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? ''

class Merge {
  readonly #work: Buffer
  readonly #device: number
  readonly #progress: SharedProgress
  readonly #asRoot = geteuid?.() === 0
  readonly warnings: Warning[] = []
  keptCount = 0

  constructor(work: string, device: number, progress: SharedProgress) {
    this.#work = Buffer.from(work)
    this.#device = device
    this.#progress = progress
  }

  /** Both are directories. */
  merge(fresh: Buffer, existing: Buffer, keepMissing: boolean): void {
    this.#assertSameDevice(existing)
    const before = lstatSync(fresh)
    let opened = false
    for (const entry of list(existing)) {
      this.#progress.throwIfStopped()
      const from = join(existing, entry.name)
      const to = join(fresh, entry.name)
      if (from.equals(this.#work)) continue
      const there = statOf(to)
      if (there === undefined) {
        if (!keepMissing) continue
        if (!opened && !this.#asRoot) chmodSync(fresh, 0o700)
        opened = true
        this.#keep(from, to, entry)
      } else if (there.isDirectory() && entry.isDirectory()) this.merge(to, from, true)
      else if (there.isDirectory() !== entry.isDirectory()) this.#warnReplaced(from, entry)
    }
    if (opened) dress(fresh, before, false)
  }

  #keep(from: Buffer, to: Buffer, entry: Dirent<Buffer>): void {
    if (!entry.isDirectory()) {
      keepEntry(from, to, entry, this.#asRoot)
      this.keptCount += 1
      return
    }
    this.#assertSameDevice(from)
    const stats = lstatSync(from)
    mkdirSync(to, 0o700)
    for (const child of list(from)) {
      this.#progress.throwIfStopped()
      this.#keep(join(from, child.name), join(to, child.name), child)
    }
    dress(to, stats, this.#asRoot)
  }

  #assertSameDevice(directory: Buffer): void {
    if (lstatSync(directory).dev === this.#device) return
    throw new AppError(
      'invalid',
      `another file system is mounted at ${directory.toString()}, inside the target: unmount it, or restore elsewhere`,
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
  const merge = new Merge(job.work, lstatSync(existing).dev, progress)
  merge.merge(Buffer.from(job.root), existing, !job.keepTop)
  return { keptCount: merge.keptCount, warnings: merge.warnings }
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
  if (lstatSync(path).dev !== device) {
    throw new AppError('conflict', 'another file system is mounted in what shall be removed')
  }
  // A read-only directory cannot be emptied by who is not root.
  if (geteuid?.() !== 0) chmodSync(path, 0o700)
  for (const entry of list(path)) {
    progress.throwIfStopped()
    const child = join(path, entry.name)
    if (entry.isDirectory()) removeDirectory(child, device, progress)
    else unlinkSync(child)
  }
  rmdirSync(path)
}
