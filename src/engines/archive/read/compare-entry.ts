import { createHash, hash } from 'node:crypto'
import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readlinkSync,
  readSync,
} from 'node:fs'
import type { WalkEntry, WalkKind } from '../create/walk.ts'
import type { ManifestEntry } from '../format/manifest.ts'
import { keyOf } from '../format/manifest-match.ts'
import type { SharedProgress } from './shared-progress.ts'

/** What has to be known of files to judge later hard links to them; paths are latin1. */
export interface LinkMemory {
  /** Files of the folder with more names: path, and `<device>:<inode>`. */
  readonly found: readonly (readonly [string, string])[]
  /** Files of the snapshot that are not compared themselves: path, size and SHA-256. */
  readonly left: readonly (readonly [string, number, string])[]
}

const OPEN_FILE = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
const WINDOW_BYTES = 1024 * 1024
/** Times go through a double on their way to a file system. */
const TIME_TOLERANCE_NS = 1_000n

const NAMES = {
  file: 'a file',
  hardlink: 'a file',
  directory: 'a directory',
  symlink: 'a symlink',
  special: 'a socket, FIFO or device',
} as const satisfies Record<ManifestEntry['type'] | WalkKind, string>

/** These say nothing of the folder: this process or machine has run out of something. */
const OURS = ['EMFILE', 'ENFILE', 'ENOMEM']

const idOf = (found: BigIntStats): string => `${found.dev}:${found.ino}`

const octal = (mode: number): string => mode.toString(8).padStart(4, '0')

/** Compares one thing of a folder with its entry in the manifest. */
export class EntryCheck {
  readonly #progress: SharedProgress
  readonly #window = Buffer.allocUnsafeSlow(WINDOW_BYTES)
  readonly #found: Map<string, string>
  readonly #left: Map<string, readonly [number, string]>
  #bytes: number

  constructor(links: LinkMemory, bytes: number, progress: SharedProgress) {
    this.#progress = progress
    this.#found = new Map(links.found)
    this.#left = new Map(links.left.map(([key, size, sha256]) => [key, [size, sha256]]))
    this.#bytes = bytes
  }

  /** Of content that was read and judged. */
  get bytes(): number {
    return this.#bytes
  }

  links(): LinkMemory {
    return {
      found: [...this.#found],
      left: [...this.#left].map(([key, [size, sha256]]) => [key, size, sha256]),
    }
  }

  /** A file that is not compared, while a hard link to it may be. */
  leave({ links, bytes, sha256 }: ManifestEntry, key: string): void {
    if (links !== undefined && sha256 !== undefined) this.#left.set(key, [bytes, sha256])
  }

  /** What differs, in words; `null` where nothing does. */
  problem(entry: ManifestEntry, key: string, found: WalkEntry): string | null {
    const wanted = entry.type === 'hardlink' ? 'file' : entry.type
    if (found.kind !== wanted) return otherType(found.kind, wanted)
    try {
      if (wanted === 'file') return this.#fileProblem(entry, key, found)
      const stats = lstatSync(found.osPath, { bigint: true })
      const isSame = wanted === 'directory' ? stats.isDirectory() : stats.isSymbolicLink()
      if (!isSame) return 'was changed while it was compared'
      const problems = wanted === 'symlink' ? [linkProblem(entry, found)] : []
      return joined([...problems, ...metadataProblems(entry, stats)])
    } catch (error) {
      return problemOf(error)
    }
  }

  #fileProblem(entry: ManifestEntry, key: string, { osPath }: WalkEntry): string | null {
    const file = openSync(osPath, OPEN_FILE)
    try {
      const stats = fstatSync(file, { bigint: true })
      if (!stats.isFile()) return 'was changed while it was compared'
      if (entry.type === 'hardlink') return this.#linkProblem(entry, file, stats)
      if (stats.nlink > 1n) this.#found.set(key, idOf(stats))
      const content = this.#contentProblem(file, stats, entry.bytes, entry.sha256 ?? null)
      return joined([content, ...metadataProblems(entry, stats)])
    } finally {
      closeSync(file)
    }
  }

  #linkProblem(entry: ManifestEntry, file: number, stats: BigIntStats): string | null {
    const target = entry.linkTarget ?? ''
    const targetKey = keyOf(target, entry.linkTargetBytes)
    const left = this.#left.get(targetKey)
    const first = this.#found.get(targetKey)
    if (first !== undefined || left === undefined) {
      // What it is a name of was compared there.
      return first === idOf(stats) ? null : `is not the same file as ${target}`
    }
    // Its first name is not compared: the content is judged here, and further names against this one.
    const content = this.#contentProblem(file, stats, left[0], left[1])
    this.#found.set(targetKey, idOf(stats))
    return joined([content, ...metadataProblems(entry, stats)])
  }

  #contentProblem(
    file: number,
    stats: BigIntStats,
    bytes: number,
    sha256: string | null,
  ): string | null {
    if (stats.size !== BigInt(bytes)) return `has ${stats.size} bytes, not ${bytes}`
    const found = this.#hash(file, bytes)
    this.#bytes += bytes
    this.#progress.set('bytesDone', this.#bytes)
    if (found === null) return 'was changed while it was compared'
    return found === sha256 ? null : 'has other content'
  }

  /** `null` where it has become shorter or longer than it was. */
  #hash(file: number, bytes: number): string | null {
    const first = readSync(file, this.#window, 0, WINDOW_BYTES, 0)
    if (first === bytes && bytes < WINDOW_BYTES) {
      return hash('sha256', this.#window.subarray(0, bytes), 'hex')
    }
    const whole = createHash('sha256')
    let done = 0
    for (let count = first; count > 0; ) {
      whole.update(this.#window.subarray(0, count))
      done += count
      this.#progress.throwIfStopped()
      this.#progress.set('bytesDone', this.#bytes + Math.min(done, bytes))
      count = readSync(file, this.#window, 0, WINDOW_BYTES, done)
    }
    return done === bytes ? whole.digest('hex') : null
  }
}

const otherType = (found: WalkKind, wanted: ManifestEntry['type']): string =>
  `is ${NAMES[found]}, not ${NAMES[wanted]}`

const joined = (problems: readonly (string | null)[]): string | null => {
  const told = problems.filter((problem) => problem !== null)
  return told.length === 0 ? null : told.join(', ')
}

function linkProblem(entry: ManifestEntry, { osPath }: WalkEntry): string | null {
  const target = readlinkSync(osPath, { encoding: 'latin1' as 'utf8' })
  const wanted = keyOf(entry.linkTarget ?? '', entry.linkTargetBytes)
  return target === wanted ? null : 'leads to another target'
}

/** A symlink has no mode of its own. */
function metadataProblems(entry: ManifestEntry, stats: BigIntStats): readonly (string | null)[] {
  const mode = Number(stats.mode & 0o7777n)
  const apartNs = stats.mtimeNs - BigInt(entry.modifiedAtNs)
  const isSameTime = apartNs <= TIME_TOLERANCE_NS && apartNs >= -TIME_TOLERANCE_NS
  return [
    entry.type === 'symlink' || mode === entry.mode
      ? null
      : `has the mode ${octal(mode)}, not ${octal(entry.mode)}`,
    isSameTime ? null : `was modified at another time (${timeText(stats.mtimeNs)})`,
  ]
}

/** Nothing but the time differs: what a directory has when something was put into it. */
export const isTimeOnly = (what: string): boolean =>
  /^was modified at another time \([^,]*\)$/.test(what)

/** A date beyond what JavaScript can say is given in nanoseconds. */
function timeText(ns: bigint): string {
  const date = new Date(Number(ns / 1_000_000n))
  return Number.isNaN(date.getTime()) ? `${ns} ns` : date.toISOString()
}

function problemOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code
  if (code === undefined || OURS.includes(code)) throw error
  if (code === 'ENOENT') return 'is missing'
  return code === 'ELOOP' ? 'was changed while it was compared' : `cannot be read (${code})`
}
