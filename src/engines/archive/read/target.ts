import { constants } from 'node:fs'
import { access, lstat, readdir, readFile, realpath, statfs } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, normalize, relative } from 'node:path'
import { AppError } from '../../../core/errors.ts'

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
  const ground = await existingAncestor(dirname(wanted), wanted)
  const real = join(await realpath(ground), relative(ground, dirname(wanted)), basename(wanted))
  await refuseForbidden(real, wanted, forbiddenRoots)
  const stats = await lstat(real).catch(missingIsNull)
  if (stats === null) {
    const realGround = await realpath(ground)
    await assertWritable(realGround, wanted)
    return { path: real, exists: false, empty: true, mounted: false, ground: realGround }
  }
  if (stats.isSymbolicLink()) {
    throw invalid(`the target ${wanted} is a symlink: name the directory it leads to`)
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
      if (code === 'EACCES') throw forbidden(wanted, error)
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
    const realRoot = await realpath(root).catch(() => normalize(root))
    if (isWithin(real, realRoot)) {
      throw invalid(`the target ${wanted} lies inside the data of Holdfast: restore elsewhere`)
    }
    if (isWithin(realRoot, real)) {
      throw invalid(`the target ${wanted} contains the data of Holdfast: restore elsewhere`)
    }
  }
}

const missingIsNull = (error: NodeJS.ErrnoException): null => {
  if (error.code === 'ENOENT') return null
  throw error
}

const forbidden = (wanted: string, cause: unknown): AppError =>
  new AppError('forbidden', `no permission to write beside ${wanted}`, {}, cause)

async function assertWritable(directory: string, wanted: string): Promise<void> {
  try {
    await access(directory, constants.W_OK | constants.X_OK)
  } catch (error) {
    throw forbidden(wanted, error)
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
