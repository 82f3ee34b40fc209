import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readlinkSync,
} from 'node:fs'
import { END_BYTES, encodeTarHeader, type TarMember } from '../format/tar-header.ts'
import { beginEntryLine, endEntryLine } from './entry-line.ts'
import { FileContent } from './file-content.ts'
import { parseIgnore } from './ignore.ts'
import { isSameFile, type OpenFile, type ReadPosition } from './position.ts'
import { Ring, type RingMemory, STOPPING } from './ring.ts'
import { NOTE, SlotWriter } from './slot-writer.ts'
import { type TroubleNews, Troubles } from './troubles.ts'
import { toBytes, toOsPath, Walk, type WalkEntry, type WalkResume } from './walk.ts'

export interface ReadStageInput {
  readonly ring: RingMemory
  /** Absolute, latin1. */
  readonly root: string
  readonly rootId: string
  readonly ignore: string
  /** `<device>:<inode>` of directories that are left out. */
  readonly never: readonly string[]
  /** How many threads say `ready` before this one may begin. */
  readonly readyCount: number
  readonly tarBytes: number
  readonly bytesDone: number
  readonly itemsDone: number
  readonly resume: WalkResume | null
  /** The file that the last run was in the middle of, where it is gone on with. */
  readonly open: OpenFile | null
  /** `<device>:<inode>`, and the path (latin1) of the member with the content. */
  readonly links: readonly (readonly [string, string])[]
  /** By path (latin1): names, and values in base64. */
  readonly xattrs: ReadonlyMap<string, readonly (readonly [string, string])[]>
}

export interface PositionNews extends ReadPosition {
  readonly is: 'position'
  readonly id: number
}

const OPEN_FILE = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
const HOLE_BYTES_MIN = 4096
const SCRATCH_BYTES = 64 * 1024
const ROOT_NAME = Buffer.from('.')

const errnoOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? 'UNKNOWN'

const isSparse = (found: BigIntStats): boolean =>
  Number(found.size) - Number(found.blocks) * 512 >= HOLE_BYTES_MIN

/** Walks the tree and turns it into slots of tar bytes. */
export class ReadStage {
  readonly #input: ReadStageInput
  readonly #say: (news: PositionNews | TroubleNews) => void
  readonly #ring: Ring
  readonly #out: SlotWriter
  readonly #walk: Walk
  readonly #troubles: Troubles
  readonly #content: FileContent
  readonly #links: Map<string, string>
  readonly #scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES)
  #last: WalkResume | null
  #checkpointId = 0
  #bytesDone: number
  #itemsDone: number

  constructor(input: ReadStageInput, say: (news: PositionNews | TroubleNews) => void) {
    this.#input = input
    this.#say = say
    this.#ring = new Ring(input.ring)
    this.#ring.awaitReady(input.readyCount)
    this.#out = new SlotWriter(this.#ring, input.tarBytes)
    this.#troubles = new Troubles(say)
    this.#links = new Map(input.links)
    this.#last = input.resume
    this.#bytesDone = input.bytesDone
    this.#itemsDone = input.itemsDone
    this.#content = new FileContent({
      out: this.#out,
      troubles: this.#troubles,
      done: (bytes) => this.#done(bytes, 0),
      control: (open) => this.#control(open),
    })
    this.#walk = new Walk({
      root: input.root,
      rootId: input.rootId,
      ignore: parseIgnore(input.ignore, () => this.#ring.throwIfAborted()),
      resume: input.resume,
      never: new Set(input.never),
      onTrouble: (trouble) => this.#troubles.walk(trouble),
    })
  }

  /** Answers whether it came to the end of the tree: `false` after a stop, which left a checkpoint. */
  run(): boolean {
    try {
      const ended = this.#readTree()
      this.#troubles.flush()
      if (!ended) return false
      this.#out.reserve(END_BYTES, 0)
      this.#out.zeros(END_BYTES)
      this.#out.end()
      return true
    } finally {
      this.#walk.close()
    }
  }

  #readTree(): boolean {
    this.#done(0, 0)
    const { open } = this.#input
    if (open !== null && !this.#goOn(open)) return false
    for (;;) {
      if (!this.#control(null)) return false
      const entry = this.#walk.next()
      if (entry === null) return true
      if (!this.#take(entry)) return false
      this.#last = { path: entry.path, include: false, descend: entry.kind === 'directory' }
    }
  }

  #done(bytes: number, items: number): void {
    this.#bytesDone += bytes
    this.#itemsDone += items
    this.#ring.setDone(this.#bytesDone, this.#itemsDone)
  }

  /** Leaves a checkpoint where one is wanted; answers `false` where the run is to stop with it. */
  #control(open: OpenFile | null): boolean {
    const stopping = this.#ring.state === STOPPING
    const wanted = this.#ring.checkpointWanted
    if (!stopping && wanted === this.#checkpointId) return true
    this.#checkpointId = stopping ? Math.max(wanted, this.#checkpointId) + 1 : wanted
    this.#troubles.flush()
    this.#say({
      is: 'position',
      id: this.#checkpointId,
      tarBytes: this.#out.tarOffset,
      bytesDone: this.#bytesDone,
      itemsDone: this.#itemsDone,
      last: this.#last,
      open,
    })
    this.#out.checkpoint(this.#checkpointId, stopping)
    return !stopping
  }

  #goOn(open: OpenFile): boolean {
    let fd: number | null = null
    try {
      try {
        fd = openSync(toOsPath(`${this.#input.root}/${open.path}`), OPEN_FILE)
      } catch (error) {
        this.#troubles.file(open.path, errnoOf(error))
      }
      const same = fd !== null && isSameFile(open, fstatSync(fd, { bigint: true }))
      if (fd !== null && !same) this.#troubles.add('changed_while_read', open.path)
      const finished = this.#content.goOn(open, same ? fd : null)
      if (finished) this.#done(0, 1)
      return finished
    } finally {
      if (fd !== null) closeSync(fd)
    }
  }

  /** Answers `false` where the run was told to stop in the middle of it. */
  #take(entry: WalkEntry): boolean {
    if (entry.kind === 'special') {
      this.#troubles.add('skipped_special', entry.path)
      return true
    }
    this.#ring.offerItem(entry.path)
    if (entry.kind === 'file') return this.#takeFile(entry)
    try {
      const found = lstatSync(entry.osPath, { bigint: true })
      const plain = this.#member(entry.path, entry.kind, found)
      if (entry.kind === 'directory') this.#header(plain)
      else {
        const linkTarget = readlinkSync(entry.osPath, { encoding: 'buffer' })
        this.#header({ ...plain, linkTarget })
        this.#done(0, 1)
      }
    } catch (error) {
      this.#troubles.file(entry.path, errnoOf(error))
    }
    return true
  }

  #member(path: string, type: TarMember['type'], found: BigIntStats): TarMember {
    const xattrs = this.#input.xattrs.get(path)
    return {
      name: path === '' ? ROOT_NAME : toBytes(path),
      type,
      bytes: type === 'file' ? Number(found.size) : 0,
      mode: Number(found.mode) & 0o7777,
      uid: Number(found.uid),
      gid: Number(found.gid),
      modifiedAtNs: found.mtimeNs,
      linkTarget: null,
      sparse: type === 'file' && isSparse(found),
      xattrs:
        xattrs === undefined
          ? null
          : new Map(xattrs.map(([key, value]) => [key, Buffer.from(value, 'base64')])),
    }
  }

  /** A member without content, and its line. */
  #header(member: TarMember): void {
    const line = endEntryLine(beginEntryLine(member, this.#out.tarOffset, null))
    this.#out.reserve(0, Buffer.byteLength(line))
    this.#out.note(member.type === 'directory' ? NOTE.directory : NOTE.link, 0, 0, line)
    this.#out.write(encodeTarHeader(member, this.#scratch))
  }

  #takeFile({ path, osPath }: WalkEntry): boolean {
    let fd: number
    try {
      fd = openSync(osPath, OPEN_FILE)
    } catch (error) {
      const errno = errnoOf(error)
      if (errno === 'ENXIO') this.#troubles.add('skipped_special', path)
      else this.#troubles.file(path, errno)
      return true
    }
    try {
      const found = fstatSync(fd, { bigint: true })
      // Replaced since its name was read: what it is now was not asked for.
      if (!found.isFile()) this.#troubles.file(path, 'ENOENT')
      else return this.#takeOpened(path, fd, found)
      return true
    } finally {
      closeSync(fd)
    }
  }

  #takeOpened(path: string, fd: number, found: BigIntStats): boolean {
    const member = this.#member(path, 'file', found)
    const links = found.nlink > 1n ? `${found.dev}:${found.ino}` : null
    const first = links === null ? undefined : this.#links.get(links)
    if (first !== undefined) {
      const link = { type: 'hardlink', bytes: 0, sparse: false, xattrs: null } as const
      this.#header({ ...member, ...link, linkTarget: toBytes(first) })
    } else {
      if (!this.#content.take(member, { path, fd, found, links })) return false
      if (links !== null) this.#links.set(links, path)
    }
    this.#done(0, 1)
    return true
  }
}
