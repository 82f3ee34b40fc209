import { createHash, hash } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  ftruncateSync,
  futimesSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeSync,
} from 'node:fs'
import { geteuid, umask } from 'node:process'
import { AppError } from '../../../core/errors.ts'
import {
  below,
  type MemberPath,
  parentKey,
  parseMemberPath,
  ROOT_PATH,
  unsafeEntry,
} from '../format/member-path.ts'
import type { TarMember } from '../format/tar-header.ts'

/** What is known of a directory while its entries come in. */
interface OpenDirectory {
  readonly path: MemberPath
  /** `null` for a root that the archive has no entry of. */
  readonly member: TarMember | null
  readonly selected: boolean
  made: boolean
}

export interface StagingOptions {
  /** An empty private directory, or what an earlier run left of it. */
  readonly root: string
  /** Where content waits whose own path is not wanted, but that of a hard link to it is. */
  readonly sideRoot: string
  /** The directory that will be merged with: it lends its metadata to directories that are not selected themselves. */
  readonly existing: string | null
  /** An earlier run left something here: what stands in the way is its own, and is replaced. */
  readonly resumed: boolean
}

const EXECUTE_SET = 0o6000
const HOLE_BYTES = 4096
const ZEROS = Buffer.alloc(HOLE_BYTES)
const CREATE =
  constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | (constants.O_NOFOLLOW ?? 0)

const isAbove = (directory: string, key: string): boolean =>
  directory === '.' || key === directory || key.startsWith(`${directory}/`)

/** A name or a path that a file system can hold where it was backed up, and not where it is restored. */
function explainLength(error: unknown, { text }: MemberPath): unknown {
  if (!isCode(error, 'ENAMETOOLONG')) return error
  const entry = text.length > 300 ? `${text.slice(0, 300)}…` : text
  const what = `${entry} cannot be made there: its name or its path is too long for the file system`
  const how = 'restore to a folder with a shorter path, or name the paths that are wanted'
  return new AppError('invalid', `${what}; ${how}`, { entry }, error)
}

const isCode = (error: unknown, code: string): boolean =>
  (error as NodeJS.ErrnoException).code === code

/** Seconds for the calls that set times: a double keeps a microsecond of today's times. */
const toSeconds = (ns: bigint): number => {
  const seconds = ns / 1_000_000_000n
  return Number(seconds) + Number(ns - seconds * 1_000_000_000n) / 1e9
}

/**
 * A tree that grows below a private directory, with nothing of it outside.
 *
 * Why no entry can lead out: a member is taken only while its directory is
 * open, so each directory above it was made by `mkdir` in here and never
 * replaced; no call follows a link; a hard link leads only to a file whose
 * directories are no links. A path that is there twice is refused.
 */
export class Staging {
  readonly #options: StagingOptions
  readonly #asRoot = geteuid?.() === 0
  readonly #ownIds: readonly [uid: number, gid: number]
  readonly #umask = umask()
  readonly #open: OpenDirectory[] = []

  constructor(options: StagingOptions) {
    this.#options = options
    const own = lstatSync(options.root)
    this.#ownIds = [own.uid, own.gid]
    this.#open.push({ path: ROOT_PATH, member: null, selected: false, made: true })
  }

  /** Finishes the directories that `path` is not in, and opens those above it that have no entry of their own. */
  enter(path: MemberPath): void {
    const parent = path.key === '.' ? '.' : parentKey(path.key)
    while (this.#open.length > 1 && !isAbove(this.#open.at(-1)?.path.key ?? '.', parent)) {
      this.#leave()
    }
    // A directory that vanished while it was read has no entry. Making it fails where one was there.
    const missing: string[] = []
    for (let key = parent; key !== this.#open.at(-1)?.path.key; key = parentKey(key)) {
      missing.push(key)
    }
    for (const key of missing.reverse()) {
      const open = parseMemberPath(Buffer.from(key, 'latin1'))
      this.#open.push({ path: open, member: null, selected: false, made: false })
    }
  }

  directory(path: MemberPath, member: TarMember, selected: boolean): void {
    const directory = { path, member, selected, made: path.key === '.' }
    if (path.key !== '.') this.#open.push(directory)
    else if (this.#open[0]?.member !== null) throw unsafeEntry('.', 'is there twice')
    else this.#open[0] = directory
    if (selected) this.#makeOpen()
  }

  /** A file that grows; it is there under its name, and closed by `finish` or `abandon`. */
  file(path: MemberPath, member: TarMember, hashed: boolean): StagedFile {
    this.#makeOpen()
    const at = below(this.#options.root, path)
    return new StagedFile(this.#create(at, path, member.mode), member, hashed, this)
  }

  /** A file that only hard links to it will take into the tree. */
  sideFile(index: number, member: TarMember, hashed: boolean): StagedFile {
    const at = `${this.#options.sideRoot}/${index}`
    return new StagedFile(this.#create(at, ROOT_PATH, member.mode), member, hashed, this)
  }

  symlink(path: MemberPath, member: TarMember): void {
    this.#makeOpen()
    const at = below(this.#options.root, path)
    this.#put(path, at, () => symlinkSync(member.linkTarget ?? '', at))
    if (this.#foreign(member)) lchownSync(at, member.uid, member.gid)
    const seconds = toSeconds(member.modifiedAtNs)
    lutimesSync(at, seconds, seconds)
  }

  /** `sideIndex` says that the content waits as a side file. */
  hardlink(path: MemberPath, target: MemberPath, sideIndex: number | null): void {
    this.#makeOpen()
    const at = below(this.#options.root, path)
    if (sideIndex === null) this.#assertLinkable(path, target)
    const from =
      sideIndex === null
        ? below(this.#options.root, target)
        : `${this.#options.sideRoot}/${sideIndex}`
    this.#put(path, at, () => linkSync(from, at))
  }

  /** Finishes every directory, the root last: nothing may be added afterwards. */
  close(): void {
    while (this.#open.length > 0) this.#leave()
  }

  /** Gives an open file its owner, mode and time. The owner first: changing it clears set-user-id. */
  dress(file: number, member: TarMember, mode: number): void {
    const foreign = this.#foreign(member)
    if (foreign) fchownSync(file, member.uid, member.gid)
    const wanted = this.#allowed(member.mode)
    if (wanted !== (mode & ~this.#umask) || (foreign && (wanted & EXECUTE_SET) !== 0)) {
      fchmodSync(file, wanted)
    }
    const seconds = toSeconds(member.modifiedAtNs)
    futimesSync(file, seconds, seconds)
  }

  #foreign(member: TarMember): boolean {
    return this.#asRoot && (member.uid !== this.#ownIds[0] || member.gid !== this.#ownIds[1])
  }

  /** Who is not root cannot give a file its owner: set-user-id would then mean somebody else. */
  #allowed(mode: number): number {
    return this.#asRoot ? mode : mode & ~EXECUTE_SET
  }

  #create(at: string | Buffer, path: MemberPath, mode: number): number {
    return this.#put(path, at, () => openSync(at, CREATE, mode & 0o777))
  }

  /** Makes something that must not be there yet. */
  #put<T>(path: MemberPath, at: string | Buffer, make: () => T): T {
    try {
      return make()
    } catch (error) {
      if (!isCode(error, 'EEXIST')) throw explainLength(error, path)
      if (!this.#options.resumed || lstatSync(at).isDirectory()) {
        throw unsafeEntry(path.text, 'is there twice')
      }
      unlinkSync(at)
      return make()
    }
  }

  #makeOpen(): void {
    if (this.#open.at(-1)?.made === true) return
    for (const directory of this.#open) {
      if (directory.made) continue
      this.#makeDirectory(directory.path)
      directory.made = true
    }
  }

  #makeDirectory(path: MemberPath): void {
    const at = below(this.#options.root, path)
    try {
      mkdirSync(at, 0o700)
    } catch (error) {
      if (!isCode(error, 'EEXIST')) throw explainLength(error, path)
      if (!this.#options.resumed || !lstatSync(at).isDirectory()) {
        throw unsafeEntry(path.text, 'is there twice')
      }
      // It may have been finished by the earlier run, and be read-only.
      chmodSync(at, 0o700)
    }
  }

  #leave(): void {
    const directory = this.#open.pop()
    if (directory === undefined || !directory.made) return
    const at = below(this.#options.root, directory.path)
    if (!directory.selected && this.#lend(at, directory.path)) return
    const { member } = directory
    if (member === null) {
      chmodSync(at, 0o777 & ~this.#umask)
      return
    }
    if (this.#foreign(member)) chownSync(at, member.uid, member.gid)
    chmodSync(at, this.#allowed(member.mode))
    const seconds = toSeconds(member.modifiedAtNs)
    utimesSync(at, seconds, seconds)
  }

  /** Takes owner, mode and time of the directory that is already at the target. */
  #lend(at: string | Buffer, path: MemberPath): boolean {
    if (this.#options.existing === null) return false
    const there = lstatSync(below(this.#options.existing, path), {
      throwIfNoEntry: false,
      bigint: true,
    })
    if (there?.isDirectory() !== true) return false
    if (this.#asRoot) chownSync(at, Number(there.uid), Number(there.gid))
    chmodSync(at, Number(there.mode) & 0o7777)
    utimesSync(at, toSeconds(there.atimeNs), toSeconds(there.mtimeNs))
    return true
  }

  #assertLinkable(path: MemberPath, target: MemberPath): void {
    try {
      this.#assertPlainFile(path, target)
    } catch (error) {
      throw explainLength(error, path)
    }
  }

  /** A hard link may only lead to a file in here that is reached without any symlink. */
  #assertPlainFile(path: MemberPath, target: MemberPath): void {
    let key = parentKey(target.key)
    while (key !== '.') {
      const bytes = Buffer.from(`${this.#options.root}/`)
      const at = Buffer.concat([bytes, Buffer.from(key, 'latin1')])
      if (lstatSync(at, { throwIfNoEntry: false })?.isDirectory() !== true) {
        throw unsafeEntry(path.text, 'is a hard link through something that is no directory')
      }
      key = parentKey(key)
    }
    const at = below(this.#options.root, target)
    if (lstatSync(at, { throwIfNoEntry: false })?.isFile() !== true) {
      throw unsafeEntry(path.text, 'is a hard link to what is no file before it')
    }
  }
}

/** One file that is being written. Its content is hashed on the way where that is wanted. */
export class StagedFile {
  readonly #file: number
  readonly #member: TarMember
  readonly #hashed: boolean
  readonly #staging: Staging
  #position = 0
  #hash: ReturnType<typeof createHash> | null = null
  #sha256: string | null = null

  constructor(file: number, member: TarMember, hashed: boolean, staging: Staging) {
    this.#file = file
    this.#member = member
    this.#hashed = hashed
    this.#staging = staging
  }

  write(piece: Buffer): void {
    if (this.#hashed) this.#digest(piece)
    if (this.#member.sparse) this.#writeWithHoles(piece)
    else this.#writeAll(piece, this.#position)
    this.#position += piece.length
  }

  /** Closes the file as it shall be, and answers the SHA-256 of its content where it was wanted. */
  finish(): string | null {
    try {
      if (this.#member.sparse) ftruncateSync(this.#file, this.#position)
      this.#staging.dress(this.#file, this.#member, this.#member.mode & 0o777)
    } finally {
      closeSync(this.#file)
    }
    if (!this.#hashed) return null
    return this.#sha256 ?? this.#hash?.digest('hex') ?? hash('sha256', '', 'hex')
  }

  abandon(): void {
    closeSync(this.#file)
  }

  #digest(piece: Buffer): void {
    if (this.#position === 0 && piece.length === this.#member.bytes) {
      this.#sha256 = hash('sha256', piece, 'hex')
      return
    }
    this.#hash ??= createHash('sha256')
    this.#hash.update(piece)
  }

  #writeAll(piece: Buffer, position: number): void {
    let done = 0
    while (done < piece.length) {
      done += writeSync(this.#file, piece, done, piece.length - done, position + done)
    }
  }

  /** Long runs of zeros are left out: they become holes. */
  #writeWithHoles(piece: Buffer): void {
    let from = 0
    let at = 0
    while (at < piece.length) {
      const end = Math.min(piece.length, at + HOLE_BYTES - ((this.#position + at) % HOLE_BYTES))
      const hole = ZEROS.compare(piece, at, end, 0, end - at) === 0
      if (hole) {
        if (at > from) this.#writeAll(piece.subarray(from, at), this.#position + from)
        from = end
      }
      at = end
    }
    if (at > from) this.#writeAll(piece.subarray(from, at), this.#position + from)
  }
}
