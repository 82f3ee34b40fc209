import { type BigIntStats, fstatSync, readSync } from 'node:fs'
import { encodeTarHeader, paddedBytes, type TarMember } from '../format/tar-header.ts'
import { beginEntryLine } from './entry-line.ts'
import { identityOf, type OpenFile } from './position.ts'
import { NOTE, type SlotWriter } from './slot-writer.ts'
import type { Troubles } from './troubles.ts'

/** A checkpoint can stand in the middle of a file that is at least this large. */
export const BIG_FILE_BYTES = 64 * 1024 * 1024
/** A file up to this size stands in one slot and is read by one call. */
const WHOLE_FILE_BYTES = 128 * 1024
const SCRATCH_BYTES = 64 * 1024

export interface ContentHost {
  readonly out: SlotWriter
  readonly troubles: Troubles
  /** Counts content that was read. */
  done(bytes: number): void
  /** Gives way to a checkpoint; answers `false` where the run is to stop. */
  control(open: OpenFile): boolean
}

export interface OpenedFile {
  /** Relative to the root, latin1. */
  readonly path: string
  readonly fd: number
  readonly found: BigIntStats
  readonly links: string | null
}

const errnoOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? 'UNKNOWN'

/**
 * Puts files into the archive. The header says how long a file is before it is
 * read, so what is read is made to fit: what is missing becomes zeros, what is
 * too much is left out, and both are said.
 */
export class FileContent {
  readonly #host: ContentHost
  readonly #scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES)

  constructor(host: ContentHost) {
    this.#host = host
  }

  /** Answers `false` where the run was told to stop in the middle of it. */
  take(member: TarMember, file: OpenedFile): boolean {
    const { out } = this.#host
    const header = encodeTarHeader(member, this.#scratch)
    if (member.bytes <= WHOLE_FILE_BYTES) {
      this.#takeWhole(member, header, file)
      return true
    }
    const big = member.bytes >= BIG_FILE_BYTES
    if (big) out.mark()
    const markOffset = out.tarOffset
    const contentOffset = markOffset + header.length
    const line = beginEntryLine(member, contentOffset, file.links)
    out.write(header)
    const { path } = file
    const identity = identityOf(file.found)
    const open = { path, ...identity, done: 0, contentOffset, markOffset, line }
    return this.#takePieces(open, file.fd, big)
  }

  /** Goes on with a file that an earlier run was in the middle of; `fd` is `null` where it cannot be read any more. */
  goOn(open: OpenFile, fd: number | null): boolean {
    return this.#takePieces(open, fd, true)
  }

  #takeWhole(member: TarMember, header: Buffer, file: OpenedFile): void {
    const { out, done } = this.#host
    const { bytes } = member
    const line = beginEntryLine(member, out.tarOffset + header.length, file.links)
    // One byte of room more than the file has: what comes into it has grown.
    out.reserve(header.length + paddedBytes(bytes) + 1, Buffer.byteLength(line))
    out.write(header)
    const start = out.position
    const got = bytes === 0 ? 0 : this.#readWhole(file, start, bytes)
    if (got > bytes) this.#host.troubles.add('grown_while_read', file.path)
    const have = Math.min(got, bytes)
    out.advance(have)
    out.zeros(bytes - have)
    out.note(NOTE.whole, start, bytes, line)
    out.zeros(paddedBytes(bytes) - bytes)
    done(bytes)
  }

  /** Answers how many bytes there were, at most one more than `bytes`. */
  #readWhole({ path, fd }: OpenedFile, start: number, bytes: number): number {
    const { out, troubles } = this.#host
    let got = 0
    try {
      while (got < bytes) {
        const count = readSync(fd, out.data, start + got, bytes + 1 - got, null)
        if (count === 0) break
        got += count
      }
    } catch (error) {
      troubles.add('unreadable', path, ` (${errnoOf(error)}); what is missing is zeros`)
      return got
    }
    if (got < bytes) troubles.add('shrunk_while_read', path)
    return got
  }

  #takePieces(open: OpenFile, fd: number | null, big: boolean): boolean {
    const { out, troubles, done, control } = this.#host
    let at = open.done
    let file = fd
    while (at < open.bytes) {
      if (out.room === 0) out.flush()
      out.reserve(1, 0)
      const start = out.position
      const want = Math.min(out.room, open.bytes - at)
      let count = 0
      try {
        count = file === null ? 0 : readSync(file, out.data, start, want, at)
        if (count === 0 && file !== null) troubles.add('shrunk_while_read', open.path)
      } catch (error) {
        troubles.add('unreadable', open.path, ` (${errnoOf(error)}); what is missing is zeros`)
      }
      if (count === 0) {
        file = null
        count = want
        out.data.fill(0, start, start + want)
      }
      out.note(at === 0 ? NOTE.first : NOTE.middle, start, count, '')
      out.advance(count)
      at += count
      done(count)
      if (big && !control({ ...open, done: at })) return false
    }
    out.reserve(0, Buffer.byteLength(open.line))
    out.note(NOTE.last, 0, 0, open.line)
    out.zeros(paddedBytes(open.bytes) - open.bytes)
    if (file !== null) this.#compare(open, file)
    return true
  }

  #compare(open: OpenFile, fd: number): void {
    const now = identityOf(fstatSync(fd, { bigint: true }))
    if (now.bytes > open.bytes) this.#host.troubles.add('grown_while_read', open.path)
    else if (now.modifiedAtNs !== open.modifiedAtNs || now.bytes !== open.bytes) {
      this.#host.troubles.add('changed_while_read', open.path)
    }
  }
}
