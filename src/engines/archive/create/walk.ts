import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  lstatSync,
  opendirSync,
  openSync,
} from 'node:fs'
import {
  FolderReplaced,
  folderIdOf,
  idsUpwards,
  openKnownFolder,
} from '../../../platform/folder-identity.ts'
import type { IgnoreRules } from './ignore.ts'

/**
 * Names are bytes. Inside the walk they are strings of one character a byte
 * (latin1), which are small, compare in byte order, and lose nothing.
 */
export const toBytes = (text: string): Buffer => Buffer.from(text, 'latin1')

// biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII is what is meant
const ASCII = /^[\x00-\x7f]*$/

/** What file calls take: a string where it is the same in UTF-8, else bytes. */
export const toOsPath = (text: string): string | Buffer => (ASCII.test(text) ? text : toBytes(text))

export type WalkKind = 'directory' | 'file' | 'symlink' | 'special'

export interface WalkEntry {
  /** Relative to the root, latin1; `''` is the root. */
  readonly path: string
  readonly kind: WalkKind
  /** Where file calls find it: valid until the next step. */
  readonly osPath: string | Buffer
}

export interface WalkTrouble {
  readonly code: 'vanished' | 'unreadable' | 'skipped_own_data'
  readonly path: string
  readonly errno: string
}

/** Where to go on: behind `path`, or at it. */
export interface WalkResume {
  readonly path: string
  /** The entry itself is still wanted. */
  readonly include: boolean
  /** It is a directory that was told already: its content comes next. */
  readonly descend: boolean
}

export interface WalkOptions {
  /** Absolute, latin1, every link resolved. */
  readonly root: string
  /** `<device>:<inode>` of the root, as it was when it was looked at. */
  readonly rootId: string
  readonly ignore: IgnoreRules
  readonly resume: WalkResume | null
  /** `<device>:<inode>` of directories that are never entered: neither they nor what lies in them may be the root. */
  readonly never: ReadonlySet<string>
  readonly onTrouble: (trouble: WalkTrouble) => void
}

interface Frame {
  readonly path: string
  readonly name: string
  readonly id: string
  /** What stands before `/<name>` in a path for file calls. */
  base: string
  /** `null` where directories are reached by their paths, and of deep ones while the walk is further down. */
  fd: number | null
  /** Name, a zero byte, and one letter for the kind: one string an entry, sorted by name bytes. */
  readonly names: readonly string[]
  index: number
  /** Not answered yet: of an excluded directory only something re-included below it makes it so. */
  untold: boolean
}

/** Looks at the letter as a number: as the key of an object it would be hashed for every file. */
function kindOf(item: string): WalkKind {
  switch (item.charCodeAt(item.length - 1)) {
    case 0x64: // d
      return 'directory'
    case 0x66: // f
      return 'file'
    case 0x6c: // l
      return 'symlink'
    default:
      return 'special'
  }
}

const OPEN_DIRECTORY =
  constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW | constants.O_NONBLOCK
/** Of directories deeper than this, only the one that the walk stands in is open. */
const DESCRIPTORS_MAX = 64

const errnoOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? 'UNKNOWN'

export const isGone = (errno: string): boolean =>
  errno === 'ENOENT' || errno === 'ENOTDIR' || errno === 'ELOOP' || errno === 'ESTALE'

const joinPath = (parent: string, name: string): string =>
  parent === '' ? name : `${parent}/${name}`

/**
 * Walks a tree depth first, the entries of a directory in the order of their
 * name bytes, a directory before its content. Symlinks are never followed: a
 * directory is opened once and its entries are reached through the open
 * descriptor, so that one that is swapped for a symlink leads nowhere. Holds
 * the names of the directories on the way down and nothing else.
 */
export class Walk {
  readonly #options: WalkOptions
  readonly #frames: Frame[] = []
  /** Entries to answer before the walk goes on. */
  readonly #told: WalkEntry[] = []
  readonly #throughDescriptors: boolean

  /** Throws `FolderReplaced` where the root is not the one that was looked at, or the error of the file call. */
  constructor(options: WalkOptions) {
    this.#options = options
    this.#throughDescriptors = existsSync('/proc/self/fd')
    const { resume } = options
    const root = this.#openRoot()
    this.#frames.push(root)
    if (resume === null || (resume.path === '' && resume.include)) {
      this.#told.push({ path: '', kind: 'directory', osPath: toOsPath(`${root.base}/.`) })
    }
    const way = resume === null || resume.path === '' ? [] : resume.path.split('/')
    if (way.length > 0) this.#goTo(root, way)
  }

  next(): WalkEntry | null {
    for (;;) {
      const told = this.#told.shift()
      if (told !== undefined) return told
      const frame = this.#frames.at(-1)
      if (frame === undefined) return null
      const item = frame.names[frame.index]
      if (item === undefined) {
        this.#leave()
        continue
      }
      if (!this.#wake(frame)) continue
      frame.index += 1
      this.#step(frame, item.slice(0, -2), kindOf(item))
    }
  }

  close(): void {
    while (this.#frames.length > 0) this.#leave()
  }

  #leave(): void {
    const frame = this.#frames.pop()
    if (frame?.fd != null) closeSync(frame.fd)
  }

  #step(frame: Frame, name: string, kind: WalkKind): void {
    const path = joinPath(frame.path, name)
    const target = `${frame.base}/${name}`
    const { ignore } = this.#options
    const excluded = ignore.excludes(path, kind === 'directory')
    if (excluded && !(kind === 'directory' && ignore.reincludes)) return
    if (kind !== 'directory') {
      this.#tellAncestors()
      this.#told.push({ path, kind, osPath: toOsPath(target) })
      return
    }
    try {
      if (!this.#enter(path, target, [])) return
    } catch (error) {
      const errno = errnoOf(error)
      this.#options.onTrouble({ code: isGone(errno) ? 'vanished' : 'unreadable', path, errno })
      if (isGone(errno) || excluded) return
      // One that cannot be listed is kept as an empty one.
      this.#tellAncestors()
      this.#told.push({ path, kind, osPath: toOsPath(target) })
      return
    }
    if (!excluded) this.#tellAncestors()
  }

  /** Says the directories on the way down that were held back. */
  #tellAncestors(): void {
    const here = this.#frames.length - 1
    for (const [index, frame] of this.#frames.entries()) {
      if (!frame.untold) continue
      frame.untold = false
      const isOpen = frame.fd !== null || !this.#throughDescriptors
      const up = `${this.#frames[here]?.base}/.${'/..'.repeat(here - index)}`
      const osPath = toOsPath(isOpen ? `${frame.base}/.` : up)
      this.#told.push({ path: frame.path, kind: 'directory', osPath })
    }
  }

  #openRoot(): Frame {
    const { root, rootId, never } = this.#options
    const opened = openKnownFolder({ path: root, id: rootId })
    const fd = this.#throughDescriptors ? opened : null
    const base = fd === null ? root : `/proc/self/fd/${fd}`
    try {
      if (idsUpwards(toBytes(base)).some((id) => never.has(id))) throw new FolderReplaced()
      const names = namesIn(base)
      if (fd === null) closeSync(opened)
      return { path: '', name: '', id: rootId, base, fd, names, index: 0, untold: false }
    } catch (error) {
      closeSync(opened)
      throw error
    }
  }

  /** Opens a directory below the root and goes down `way`, the names to where an earlier walk stood. */
  #enter(path: string, target: string, way: readonly string[]): boolean {
    const fd = this.#throughDescriptors ? openSync(toOsPath(target), OPEN_DIRECTORY) : null
    const base = fd === null ? target : `/proc/self/fd/${fd}`
    let id: string
    let names: string[]
    try {
      id = folderIdOf(
        fd === null
          ? lstatSync(toOsPath(`${base}/.`), { bigint: true })
          : fstatSync(fd, { bigint: true }),
      )
      if (this.#isOwn(id, path)) {
        if (fd !== null) closeSync(fd)
        return false
      }
      names = namesIn(base)
    } catch (error) {
      if (fd !== null) closeSync(fd)
      throw error
    }
    const name = path.slice(path.lastIndexOf('/') + 1)
    const frame: Frame = { path, name, id, base, fd, names, index: 0, untold: way.length === 0 }
    this.#frames.push(frame)
    if (this.#frames.length > DESCRIPTORS_MAX + 1) this.#rest(this.#frames.at(-2))
    if (way.length > 0) this.#goTo(frame, way)
    return true
  }

  #rest(frame: Frame | undefined): void {
    if (frame === undefined || frame.fd === null) return
    closeSync(frame.fd)
    frame.fd = null
  }

  /**
   * Opens a deep directory again, name by name from the deepest one that stayed
   * open: a path of several names would follow a link in the middle of it.
   * Answers `false` where it is not there any more; nothing more of it is told.
   */
  #wake(frame: Frame): boolean {
    if (frame.fd !== null || !this.#throughDescriptors) return true
    let at = this.#frames[DESCRIPTORS_MAX - 1]?.fd ?? -1
    let isOwned = false
    try {
      for (const { name, id } of this.#frames.slice(DESCRIPTORS_MAX)) {
        const next = openSync(toOsPath(`/proc/self/fd/${at}/${name}`), OPEN_DIRECTORY)
        if (isOwned) closeSync(at)
        at = next
        isOwned = true
        if (folderIdOf(fstatSync(at, { bigint: true })) !== id) throw new FolderReplaced()
      }
      frame.fd = at
      frame.base = `/proc/self/fd/${at}`
      return true
    } catch (error) {
      if (isOwned) closeSync(at)
      frame.index = frame.names.length
      this.#options.onTrouble({ code: 'vanished', path: frame.path, errno: errnoOf(error) })
      return false
    }
  }

  #goTo(frame: Frame, way: readonly string[]): void {
    const [name = '', ...rest] = way
    const { resume } = this.#options
    const from = frame.names.findIndex((item) => item.slice(0, -2) >= name)
    frame.index = from < 0 ? frame.names.length : from
    const item = frame.names[frame.index]
    if (item?.slice(0, -2) !== name) return
    const last = rest.length === 0
    if (last && resume?.include) return
    frame.index += 1
    if (item.slice(-1) !== 'd' || (last && !resume?.descend)) return
    const path = joinPath(frame.path, name)
    try {
      const entered = this.#enter(path, `${frame.base}/${name}`, rest)
      const child = this.#frames.at(-1)
      if (entered && child !== undefined) child.untold = false
    } catch (error) {
      const errno = errnoOf(error)
      this.#options.onTrouble({ code: isGone(errno) ? 'vanished' : 'unreadable', path, errno })
    }
  }

  #isOwn(id: string, path: string): boolean {
    if (!this.#options.never.has(id)) return false
    this.#options.onTrouble({ code: 'skipped_own_data', path, errno: '' })
    return true
  }
}

/** Read in batches: an array of Dirent of a directory of a million would be most of our memory. */
function namesIn(base: string): string[] {
  const names: string[] = []
  // The types of Node know only the encodings of text; latin1 is one byte a character.
  const directory = opendirSync(toOsPath(base) as string, {
    encoding: 'latin1' as 'utf8',
    bufferSize: 256,
  })
  try {
    for (;;) {
      const found = directory.readSync()
      if (found === null) break
      const letter = found.isFile()
        ? 'f'
        : found.isDirectory()
          ? 'd'
          : found.isSymbolicLink()
            ? 'l'
            : 's'
      names.push(`${found.name}\u0000${letter}`)
    }
  } finally {
    directory.closeSync()
  }
  return names.sort()
}
