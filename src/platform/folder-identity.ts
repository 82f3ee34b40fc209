import {
  type BigIntStats,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  lstatSync,
  openSync,
  readlinkSync,
  statSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { isInside, realPathOf, systemCodeOf } from './files.ts'

// Which folder a path leads to, beyond its text: a bind mount gives one folder two real paths.

const OPEN_FOLDER =
  constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** Linux reaches an open folder through its descriptor; where that is not so, it is reached by its path. */
const hasDescriptorPaths = existsSync('/proc/self/fd')

/** `<device>:<inode>`: two paths with equal ones lead to one folder. */
export const folderIdOf = ({ dev, ino }: Pick<BigIntStats, 'dev' | 'ino'>): string =>
  `${dev}:${ino}`

/** A folder as it was when somebody looked whether it may be used. */
export interface KnownFolder {
  /** Absolute, every link resolved, one character a byte. */
  readonly path: string
  readonly id: string
}

/** Has the code of a failed file call, so that whoever explains those explains it, too. */
export class FolderReplaced extends Error {
  override readonly name = 'FolderReplaced'
  readonly code = 'ESTALE'

  constructor() {
    super('another folder than the one that was looked at')
  }
}

const toOsPath = (latin1: string): Buffer => Buffer.from(latin1, 'latin1')

const pathOfDescriptor = (descriptor: number): string => `/proc/self/fd/${descriptor}`

/**
 * The id of a folder and of each one above it, nearest first. The way up is
 * that of the file system, not of the text: a link on the way is no way round.
 */
export function idsUpwards(path: string | Buffer): readonly string[] {
  const ids: string[] = []
  let at = Buffer.concat([Buffer.from(path), Buffer.from('/.')])
  for (;;) {
    const id = folderIdOf(lstatSync(at, { bigint: true }))
    // The root of the file system is its own parent.
    if (id === ids.at(-1)) return ids
    ids.push(id)
    at = Buffer.concat([at, Buffer.from('/..')])
  }
}

/**
 * Opens a folder that was looked at before, and proves that it is still that
 * one: between the look and this, a folder on the way to it may have become a
 * link to somewhere else. Throws `FolderReplaced`, and what a file call throws.
 * The caller closes the descriptor.
 */
export function openKnownFolder(known: KnownFolder): number {
  const descriptor = openFolder(toOsPath(known.path))
  try {
    if (folderIdOf(fstatSync(descriptor, { bigint: true })) !== known.id) throw new FolderReplaced()
    if (hasDescriptorPaths && descriptorTarget(descriptor) !== known.path) {
      throw new FolderReplaced()
    }
    return descriptor
  } catch (error) {
    closeSync(descriptor)
    throw error
  }
}

/** It was a folder when it was looked at: what is a link or a file now took its place. */
function openFolder(path: Buffer): number {
  try {
    return openSync(path, OPEN_FOLDER)
  } catch (error) {
    const isReplaced = ['ENOTDIR', 'ELOOP'].includes(systemCodeOf(error) ?? '')
    throw isReplaced ? new FolderReplaced() : error
  }
}

const descriptorTarget = (descriptor: number): string =>
  // The types of Node know only the encodings of text; latin1 is one byte a character.
  readlinkSync(pathOfDescriptor(descriptor), { encoding: 'latin1' as 'utf8' })

/** Where file calls of this process find an open folder, and a command that is started in it, whatever becomes of its path. */
export const pathOfOpened = (descriptor: number, known: KnownFolder): string =>
  hasDescriptorPaths ? pathOfDescriptor(descriptor) : toOsPath(known.path).toString()

/** What a folder is now, so that it can be known again. Throws what a file call throws. */
export function knowFolder(realPath: string): KnownFolder {
  const path = Buffer.from(realPath).toString('latin1')
  return { path, id: folderIdOf(lstatSync(realPath, { bigint: true })) }
}

/** The ids of those folders that are there. */
export function idsOfFolders(folders: readonly string[]): readonly string[] {
  return folders.flatMap((folder) => {
    const found = statSync(folder, { bigint: true, throwIfNoEntry: false })
    return found === undefined ? [] : [folderIdOf(found)]
  })
}

/** Of a path: it lies in another one (or is that one), or it holds it. */
export type Overlap = 'inside' | 'around'

/**
 * Whether two folders are in each other's way, by their real paths and by what
 * they are: neither a link nor a bind mount of a folder hides it. Parts of
 * either path that do not exist yet are taken by their text.
 */
export async function overlapOf(path: string, other: string): Promise<Overlap | null> {
  const [real, otherReal] = await Promise.all([realPathOf(path), realPathOf(other)])
  return overlapOfReal(real, otherReal)
}

/** As `overlapOf`, of paths that are real already: without asking for each again. */
export function overlapOfReal(real: string, otherReal: string): Overlap | null {
  if (isInside(otherReal, real)) return 'inside'
  if (isInside(real, otherReal)) return 'around'
  const id = idOf(real)
  const otherId = idOf(otherReal)
  if (otherId !== null && idsUpwards(nearestFolder(real)).includes(otherId)) return 'inside'
  if (id !== null && idsUpwards(nearestFolder(otherReal)).includes(id)) return 'around'
  return null
}

const idOf = (path: string): string | null => {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false })
  return found === undefined ? null : folderIdOf(found)
}

/** The folder itself, or the nearest one above it that is there. */
function nearestFolder(path: string): string {
  for (let at = path; ; at = dirname(at)) {
    const isFolder = statSync(at, { throwIfNoEntry: false })?.isDirectory() ?? false
    if (isFolder || at === dirname(at)) return at
  }
}
