import { randomBytes } from 'node:crypto'
import type { Stats } from 'node:fs'
import { link, lstat, mkdir, open, realpath, rename, stat, statfs, unlink } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { AppError, noRoom } from '../core/errors.ts'

/** The code of a failed system call, such as `ENOENT`; `null` for any other failure. */
export const systemCodeOf = (error: unknown): string | null =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null

export const isMissing = (error: unknown): boolean => systemCodeOf(error) === 'ENOENT'

/** The disk, or the quota on it, is full. */
export const isOutOfRoom = (error: unknown): boolean =>
  ['ENOSPC', 'EDQUOT'].includes(systemCodeOf(error) ?? '')

/**
 * Turns "no space left" into `no_room` with both figures; answers any other
 * failure as it is. `folder` is where `neededBytes` were to go.
 */
export async function explainOutOfRoom(
  error: unknown,
  folder: string,
  neededBytes: number,
): Promise<unknown> {
  if (!isOutOfRoom(error)) return error
  const freeBytes = await freeBytesOf(folder).catch(() => 0)
  const { message, details } = noRoom(neededBytes, freeBytes)
  return new AppError('no_room', message, details, error)
}

/** Does `work`; where it meets a full disk it throws `no_room` with both figures. */
export async function explainingRoom<T>(
  folder: string,
  neededBytes: number,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work()
  } catch (failure) {
    const error = await explainOutOfRoom(failure, folder, neededBytes)
    throw error
  }
}

/** Bytes that this process may still write to the file system of `path`. */
export async function freeBytesOf(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path)
  return bavail * bsize
}

/** `lstat`, with `null` where there is nothing. */
export async function lstatOrNull(path: string): Promise<Stats | null> {
  try {
    return await lstat(path)
  } catch (error) {
    if (isMissing(error) || systemCodeOf(error) === 'ENOTDIR') return null
    throw error
  }
}

/** Makes names that were created in, or removed from, this folder survive a power cut. */
export const fsyncFolder = (path: string): Promise<void> => fsyncPath(path)

/** Makes the content of a file survive a power cut; its name needs `fsyncFolder`. */
export const fsyncFile = (path: string): Promise<void> => fsyncPath(path)

async function fsyncPath(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Makes a folder and those above it that are missing; all of them survive a power cut. */
export async function makeFolder(path: string, mode = 0o700): Promise<void> {
  const first = await makeMissing(path, mode)
  if (first === null) return
  for (let folder = resolve(path); ; folder = dirname(folder)) {
    await fsyncFolder(dirname(folder))
    if (folder === resolve(first)) return
  }
}

/**
 * Makes a folder and those above it that are missing; answers the topmost that
 * was made, or `null`. The recursive `mkdir` of Node tries for ever where a file
 * system takes no folders, such as /proc.
 */
export async function makeMissing(path: string, mode = 0o777): Promise<string | null> {
  const missing: string[] = []
  for (let at = resolve(path); !(await isThere(at)); at = dirname(at)) missing.unshift(at)
  let first: string | null = null
  for (const folder of missing) {
    try {
      await mkdir(folder, { mode })
      first ??= folder
    } catch (error) {
      // Somebody else made it meanwhile.
      if (systemCodeOf(error) !== 'EEXIST') throw error
    }
  }
  return first
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (isMissing(error)) return false
    throw error
  }
}

/** Removes a file; nothing happens where there is none. Answers whether there was one. */
export async function removeFile(path: string): Promise<boolean> {
  try {
    await unlink(path)
    return true
  } catch (error) {
    if (isMissing(error)) return false
    throw error
  }
}

/**
 * Writes a whole file so that a reader, a crash or a power cut meets either
 * the old content or the new one, never a part: a temporary file in the same
 * folder, fsync, rename, fsync of the folder.
 */
export function writeFileDurably(
  path: string,
  content: string | Uint8Array,
  options: { mode?: number; replace?: boolean } = {},
): Promise<void> {
  const folder = dirname(path)
  const temporary = join(folder, `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`)
  return explainingRoom(folder, Buffer.byteLength(content), async () => {
    try {
      await writeNewFile(temporary, content, options.mode ?? 0o600)
      if (options.replace === false) await publishFile(temporary, path)
      else await rename(temporary, path)
      await fsyncFolder(folder)
    } catch (error) {
      await removeFile(temporary)
      throw error
    }
  })
}

async function writeNewFile(path: string, content: string | Uint8Array, mode: number) {
  const handle = await open(path, 'wx', mode)
  try {
    await handle.writeFile(content)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** What `link` answers where a file system, or the rights on it, know no hard links. */
const NO_HARD_LINKS = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']

/**
 * Gives the file `from` the name `to` on the same file system, and never takes
 * the place of a file that is there: then `conflict`. Both names are durable
 * as said when this resolves, and `from` is gone. It may be called again after
 * a crash in the middle: a `to` that is the same file counts as done.
 *
 * Where there are no hard links it looks, then renames: two publishers of one
 * name in the same instant could then take each other's place, so names that
 * only one of them uses are the rule.
 */
export async function publishFile(from: string, to: string, makeLink = link): Promise<void> {
  await fsyncFile(from)
  try {
    await makeLink(from, to)
  } catch (error) {
    const code = systemCodeOf(error) ?? ''
    if (code === 'EEXIST') {
      if (!(await isSameFile(from, to))) throw alreadyThere(to)
    } else if (NO_HARD_LINKS.includes(code)) {
      await renameWhereFree(from, to)
      return
    } else throw error
  }
  await fsyncFolder(dirname(to))
  await removeFile(from)
  await fsyncFolder(dirname(from))
}

async function renameWhereFree(from: string, to: string): Promise<void> {
  if ((await lstatOrNull(to)) !== null) throw alreadyThere(to)
  await rename(from, to)
  await fsyncFolder(dirname(to))
  if (dirname(from) !== dirname(to)) await fsyncFolder(dirname(from))
}

async function isSameFile(one: string, other: string): Promise<boolean> {
  const [a, b] = await Promise.all([lstatOrNull(one), lstatOrNull(other)])
  return a !== null && b !== null && a.ino === b.ino && a.dev === b.dev
}

const alreadyThere = (path: string): AppError =>
  new AppError('conflict', `${basename(path)} exists already; it is never written over`)

/** Whether `path` is `folder` or lies below it. Compares the text: resolve links first. */
export function isInside(folder: string, path: string): boolean {
  const way = relative(folder, path)
  return way === '' || !(way === '..' || way.startsWith(`..${sep}`) || isAbsolute(way))
}

/**
 * Joins a path from outside to a folder of ours. Refuses what leads out of it
 * by its text; symlinks on the way are the caller's matter.
 */
export function joinInside(folder: string, path: string): string {
  const joined = resolve(folder, path)
  if (isAbsolute(path) || path.includes('\0') || !isInside(resolve(folder), joined)) {
    throw new AppError('invalid', `${JSON.stringify(path.slice(0, 200))} leads out of its folder`)
  }
  return joined
}

/** The path with every link resolved, also where its last parts do not exist yet. */
export async function realPathOf(path: string): Promise<string> {
  const missing: string[] = []
  for (let at = resolve(path); ; at = dirname(at)) {
    try {
      return join(await realpath(at), ...missing)
    } catch (error) {
      if (!isMissing(error) || at === dirname(at)) throw error
      missing.unshift(basename(at))
    }
  }
}
