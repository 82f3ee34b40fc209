import { constants, realpathSync } from 'node:fs'
import { access, lstat, readdir, readFile, realpath, statfs } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, normalize, relative } from 'node:path'
import { AppError, type ErrorCode } from '../../../core/errors.ts'
import { systemCodeOf } from '../../../platform/files.ts'
import { overlapOf } from '../../../platform/folder-identity.ts'

export interface RestoreTarget {
  /** With no symlink in it. */
  readonly path: string
  readonly exists: boolean
  readonly empty: boolean
  /** Something is mounted on it: it cannot be renamed, only its children can. */
  readonly mounted: boolean
  /** The directory nearest to it that exists. */
  readonly ground: string
}

const invalid = (message: string): AppError => new AppError('invalid', message)

export const isWithin = (path: string, root: string): boolean => {
  const way = relative(root, path)
  return way === '' || (way !== '..' && !way.startsWith('../') && !isAbsolute(way))
}

/** The path of a target as it is written: absolute, without `.` and `..`. Throws `invalid`. */
export function parseTargetPath(path: unknown): string {
  if (typeof path !== 'string' || path === '' || path.includes('\0')) {
    throw invalid('target.path is the absolute path of a directory')
  }
  if (!isAbsolute(path)) throw invalid(`the target must be an absolute path, not ${path}`)
  const clean = normalize(path).replace(/\/+$/, '')
  if (clean === '') throw invalid('the root of the file system is no target: name a directory')
  return clean
}

/** Looks at a target and refuses what can never be restored into. Changes nothing. */
export async function inspectTarget(
  wanted: string,
  forbiddenRoots: readonly string[],
): Promise<RestoreTarget> {
  try {
    return await inspect(wanted, forbiddenRoots)
  } catch (error) {
    throw explainTarget(error, wanted)
  }
}

/** A failed file call on a target, or on the way to it, as a sentence; any other failure as it is. */
export function explainTarget(error: unknown, wanted: string): unknown {
  const code = error instanceof AppError ? null : systemCodeOf(error)
  const said = TROUBLES[code ?? '']
  if (said === undefined) return error
  return new AppError(said.code, said.message(wanted), {}, error)
}

const TROUBLES: Readonly<
  Record<string, { readonly code: ErrorCode; readonly message: (wanted: string) => string }>
> = {
  EACCES: { code: 'forbidden', message: (wanted) => notPermitted(wanted) },
  EPERM: { code: 'forbidden', message: (wanted) => notPermitted(wanted) },
  EROFS: {
    code: 'forbidden',
    message: (wanted) => `the file system of ${wanted} is read-only: restore elsewhere`,
  },
  ENOENT: {
    code: 'invalid',
    message: (wanted) =>
      `no folder can be made for ${wanted}: what is above it is gone, or takes no folders; restore elsewhere`,
  },
  ENOTDIR: { code: 'invalid', message: (wanted) => `the target ${wanted} lies below a file` },
  ELOOP: {
    code: 'invalid',
    message: (wanted) =>
      `the links on the way to ${wanted} lead in a circle: name the folder they were meant to lead to`,
  },
  ENAMETOOLONG: {
    code: 'invalid',
    message: (wanted) =>
      `the target ${wanted.slice(0, 200)} has a name or a path that is too long for its file system: take a shorter one`,
  },
  ESTALE: {
    code: 'conflict',
    message: (wanted) =>
      `a folder on the way to ${wanted} was replaced by another one meanwhile: nothing was changed there; ask for it again`,
  },
}

const notPermitted = (wanted: string): string =>
  `no permission to write at ${wanted} or beside it: give it to the user Holdfast runs as, or restore elsewhere`

async function inspect(wanted: string, forbiddenRoots: readonly string[]): Promise<RestoreTarget> {
  const ground = await existingAncestor(dirname(wanted), wanted)
  const real = join(await realpath(ground), relative(ground, dirname(wanted)), basename(wanted))
  const stats = await lstat(real).catch(missingIsNull)
  if (stats?.isSymbolicLink()) {
    throw invalid(`the target ${wanted} is a symlink: name the directory it leads to`)
  }
  await refuseForbidden(real, wanted, forbiddenRoots)
  if (stats === null) {
    const realGround = await realpath(ground)
    await assertWritable(realGround, wanted)
    return { path: real, exists: false, empty: true, mounted: false, ground: realGround }
  }
  if (!stats.isDirectory()) throw invalid(`the target ${wanted} is a file, not a directory`)
  const mounts = await mountsWithin(real)
  const inner = mounts.find((mount) => mount !== real)
  if (inner !== undefined) {
    throw invalid(`another file system is mounted at ${inner}, inside the target: unmount it first`)
  }
  const mounted = mounts.includes(real)
  await assertWritable(mounted ? real : dirname(real), wanted)
  const empty = (await readdir(real)).every((name) => mounted && name === 'lost+found')
  return { path: real, exists: true, empty, mounted, ground: real }
}

/** Bytes that can still be written where the target will be. */
export async function freeBytesAt(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory)
  return bavail * bsize
}

async function existingAncestor(path: string, wanted: string): Promise<string> {
  let at = path
  for (;;) {
    try {
      const real = await realpath(at)
      if ((await lstat(real)).isDirectory()) return at
      throw invalid(`the target ${wanted} lies below a file`)
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? ''
      if (code === 'ENOTDIR') throw invalid(`the target ${wanted} lies below a file`)
      if (code !== 'ENOENT' || dirname(at) === at) throw error
    }
    at = dirname(at)
  }
}

async function refuseForbidden(
  real: string,
  wanted: string,
  forbiddenRoots: readonly string[],
): Promise<void> {
  for (const root of forbiddenRoots) {
    const overlap = await overlapOf(real, root)
    if (overlap === 'inside') {
      throw invalid(`the target ${wanted} lies inside the data of Holdfast: restore elsewhere`)
    }
    if (overlap === 'around') {
      throw invalid(`the target ${wanted} contains the data of Holdfast: restore elsewhere`)
    }
  }
}

/**
 * The real path that a target will have, as far as it can be known now. For
 * what is held against others: it says nothing of whether it may be used.
 */
export function realTargetPath(wanted: string): string {
  const missing: string[] = []
  for (let at = wanted; ; at = dirname(at)) {
    try {
      return join(realpathSync(at), ...missing)
    } catch {
      // What is wrong with it, its inspection says in words.
      if (at === dirname(at)) return wanted
      missing.unshift(basename(at))
    }
  }
}

const missingIsNull = (error: NodeJS.ErrnoException): null => {
  if (error.code === 'ENOENT') return null
  throw error
}

async function assertWritable(directory: string, wanted: string): Promise<void> {
  try {
    await access(directory, constants.W_OK | constants.X_OK)
  } catch (error) {
    throw explainTarget(error, wanted)
  }
}

/** Mount points at or below a path, where the platform tells of them. */
async function mountsWithin(path: string): Promise<readonly string[]> {
  const text = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '')
  return text
    .split('\n')
    .map((line) => unescapeMount(line.split(' ')[4] ?? ''))
    .filter((mount) => mount !== '' && isWithin(mount, path))
}

/** proc(5): space, tab, newline and backslash stand as octal numbers. */
const unescapeMount = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_match, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  )
