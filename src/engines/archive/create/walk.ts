import { closeSync, constants, existsSync, lstatSync, opendirSync, openSync } from 'node:fs'
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
  /** Absolute, latin1. */
  readonly root: string
  readonly ignore: IgnoreRules
  readonly resume: WalkResume | null
  /** `<device>:<inode>` of directories that are never entered. */
  readonly never: ReadonlySet<string>
  readonly onTrouble: (trouble: WalkTrouble) => void
}

interface Frame {
  readonly path: string
  /** What stands before `/<name>` in a path for file calls. */
  readonly base: string
  readonly fd: number | null
  /** Name, a zero byte, and one letter for the kind: one string an entry, sorted by name bytes. */
  readonly names: readonly string[]
  index: number
  /** Not answered yet: of an excluded directory only something re-included below it makes it so. */
  untold: boolean
}

const LETTERS: Readonly<Record<string, WalkKind>> = {
  d: 'directory',
  f: 'file',
  l: 'symlink',
  s: 'special',
}

const OPEN_DIRECTORY =
  constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW | constants.O_NONBLOCK
/** Deeper than this, directories are reached by their path instead of an open descriptor. */
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

  /** Throws the error of the file call where the root cannot be read. */
  constructor(options: WalkOptions) {
    this.#options = options
    this.#throughDescriptors = existsSync('/proc/self/fd')
    const { root, resume } = options
    if (resume === null || (resume.path === '' && resume.include)) {
      this.#told.push({ path: '', kind: 'directory', osPath: toOsPath(root) })
    }
    const way = resume === null || resume.path === '' ? [] : resume.path.split('/')
    this.#enter('', root, way)
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
      frame.index += 1
      this.#step(frame, item.slice(0, -2), LETTERS[item.slice(-1)] ?? 'special')
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
    for (const frame of this.#frames) {
      if (!frame.untold) continue
      frame.untold = false
      this.#told.push({
        path: frame.path,
        kind: 'directory',
        osPath: toOsPath(`${frame.base}/.`),
      })
    }
  }

  /** Opens a directory and goes down `way`, the names to where an earlier walk stood. */
  #enter(path: string, target: string, way: readonly string[]): boolean {
    const fd =
      this.#throughDescriptors && this.#frames.length < DESCRIPTORS_MAX
        ? openSync(
            toOsPath(target),
            path === '' ? OPEN_DIRECTORY & ~constants.O_NOFOLLOW : OPEN_DIRECTORY,
          )
        : null
    const base = fd === null ? target : `/proc/self/fd/${fd}`
    let names: string[]
    try {
      if (path !== '' && this.#isOwn(base, path)) {
        if (fd !== null) closeSync(fd)
        return false
      }
      names = namesIn(base)
    } catch (error) {
      if (fd !== null) closeSync(fd)
      throw error
    }
    const untold = path !== '' && way.length === 0
    const frame: Frame = { path, base, fd, names, index: 0, untold }
    this.#frames.push(frame)
    if (way.length > 0) this.#goTo(frame, way)
    return true
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

  #isOwn(base: string, path: string): boolean {
    if (this.#options.never.size === 0) return false
    const { dev, ino } = lstatSync(toOsPath(`${base}/.`), { bigint: true })
    if (!this.#options.never.has(`${dev}:${ino}`)) return false
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
