import { AppError } from '../../../core/errors.ts'
import { type MemberPath, parseMemberPath, unsafeEntry } from './member-path.ts'
import { decodePax, type PaxRecords } from './pax.ts'
import type { TarBytes } from './tar-bytes.ts'
import {
  BLOCK_BYTES,
  decodeTarBlock,
  END_BYTES,
  PAX_BYTES_MAX,
  paddedBytes,
  type TarBlock,
  type TarMember,
  toTarMember,
} from './tar-header.ts'

export interface TarEntry {
  readonly path: MemberPath
  /** Of a hard link: the member that has the content. */
  readonly linkPath: MemberPath | null
  readonly member: TarMember
  /** Where its first header (PAX records included), its last header block and its content begin. */
  readonly startOffset: number
  readonly blockOffset: number
  readonly contentOffset: number
}

export interface TarLimits {
  readonly entryCountMax: number
  readonly tarBytesMax: number
}

const damaged = (what: string): AppError =>
  new AppError('damaged', `the archive is damaged: ${what}`, { what })

/** What type flags mean that an archive of ours never has. */
const REFUSED_TYPES: Readonly<Record<string, string>> = {
  '3': 'is a character device',
  '4': 'is a block device',
  '6': 'is a FIFO',
  S: 'is a sparse file of GNU tar',
}

/**
 * Reads a tar member by member, strictly: what is cut, does not end with its
 * two blocks of zeros, goes on after them, is larger than `limits`, leads out
 * of its root or is of a type that Holdfast never writes throws `damaged`.
 */
export class TarReader {
  readonly #bytes: Pick<TarBytes, 'next'>
  readonly #limits: TarLimits
  #window: Buffer = Buffer.alloc(0)
  /** Where in the window, and where in the tar, reading goes on. */
  #at = 0
  #position = 0
  /** Bytes of content, and of the zeros after it, that were not read yet. */
  #contentLeft = 0
  #paddingLeft = 0
  #entryCount = 0

  /** `position`: where in the tar `bytes` begin. */
  constructor(bytes: Pick<TarBytes, 'next'>, limits: TarLimits, position = 0) {
    this.#bytes = bytes
    this.#limits = limits
    this.#position = position
  }

  /** Bytes of tar that were read. */
  get position(): number {
    return this.#position
  }

  /** The next member, past what is left of the last one; `null` after the end blocks. */
  async next(): Promise<TarEntry | null> {
    await this.#skip(this.#contentLeft + this.#paddingLeft)
    this.#contentLeft = 0
    this.#paddingLeft = 0
    const startOffset = this.#position
    let pax: PaxRecords | null = null
    for (;;) {
      const blockOffset = this.#position
      const block = decodeTarBlock(await this.#take(BLOCK_BYTES, 'header'))
      if (block === null) {
        if (pax !== null) throw damaged('it ends after a PAX header')
        await this.#end()
        return null
      }
      if (block.flag === 'x' && pax === null) {
        if (block.bytes > PAX_BYTES_MAX) throw damaged('a PAX header that is too large')
        // The window may be read over before the records are used: they keep a copy.
        const body = Buffer.from(await this.#take(paddedBytes(block.bytes), 'PAX header'))
        pax = decodePax(body.subarray(0, block.bytes))
        continue
      }
      return this.#entry(block, pax, startOffset, blockOffset)
    }
  }

  /** The next piece of the member's content; `null` when all of it was read. */
  async piece(): Promise<Buffer | null> {
    if (this.#contentLeft === 0) return null
    if (this.#at === this.#window.length) await this.#fill('content')
    const length = Math.min(this.#contentLeft, this.#window.length - this.#at)
    const piece = this.#window.subarray(this.#at, this.#at + length)
    this.#advance(length)
    this.#contentLeft -= length
    return piece
  }

  #entry(
    block: TarBlock,
    pax: PaxRecords | null,
    startOffset: number,
    blockOffset: number,
  ): TarEntry {
    this.#entryCount += 1
    if (this.#entryCount > this.#limits.entryCountMax) {
      throw damaged('it holds more entries than its snapshot says')
    }
    const member = toTarMember(block, pax)
    if (member === null) {
      const name = JSON.stringify((pax?.get('path') ?? block.name).toString('utf8').slice(0, 300))
      throw unsafeEntry(name, REFUSED_TYPES[block.flag] ?? 'is of an unknown type')
    }
    const path = parseMemberPath(member.name)
    if (path.key === '.' && member.type !== 'directory') {
      throw unsafeEntry(path.text, 'takes the place of the root')
    }
    if (member.type !== 'file' && block.bytes !== 0) {
      throw unsafeEntry(path.text, `is a ${member.type} with content`)
    }
    if (this.#position + member.bytes + END_BYTES > this.#limits.tarBytesMax) {
      throw unsafeEntry(path.text, 'says it is larger than the whole archive')
    }
    this.#contentLeft = member.bytes
    this.#paddingLeft = paddedBytes(member.bytes) - member.bytes
    return {
      path,
      linkPath: linkPathOf(member, path),
      member,
      startOffset,
      blockOffset,
      contentOffset: this.#position,
    }
  }

  /** The second block of zeros, and nothing but zeros after it. */
  async #end(): Promise<void> {
    if (decodeTarBlock(await this.#take(BLOCK_BYTES, 'end')) !== null) {
      throw damaged('it goes on after its first end block')
    }
    for (;;) {
      while (this.#at < this.#window.length) {
        if (this.#window[this.#at] !== 0) throw damaged('it goes on after its end blocks')
        this.#advance(1)
      }
      if (!(await this.#tryFill())) return
      if (this.#position > this.#limits.tarBytesMax) throw damaged('it is larger than it may be')
    }
  }

  #advance(count: number): void {
    this.#at += count
    this.#position += count
  }

  async #skip(count: number): Promise<void> {
    let left = count
    while (left > 0) {
      if (this.#at === this.#window.length) await this.#fill('content')
      const step = Math.min(left, this.#window.length - this.#at)
      this.#advance(step)
      left -= step
    }
  }

  /** Exactly `count` bytes; good until the next read. */
  async #take(count: number, what: string): Promise<Buffer> {
    if (this.#window.length - this.#at >= count) {
      const taken = this.#window.subarray(this.#at, this.#at + count)
      this.#advance(count)
      return taken
    }
    const taken = Buffer.allocUnsafe(count)
    let filled = 0
    while (filled < count) {
      if (this.#at === this.#window.length) await this.#fill(what)
      const step = Math.min(count - filled, this.#window.length - this.#at)
      this.#window.copy(taken, filled, this.#at, this.#at + step)
      this.#advance(step)
      filled += step
    }
    return taken
  }

  async #fill(what: string): Promise<void> {
    if (await this.#tryFill()) return
    throw damaged(what === 'content' ? 'it was cut inside a file' : `it was cut before its ${what}`)
  }

  async #tryFill(): Promise<boolean> {
    const next = this.#bytes.next()
    const window = next instanceof Promise ? await next : next
    if (window === null) return false
    this.#window = window
    this.#at = 0
    return true
  }
}

function linkPathOf(member: TarMember, path: MemberPath): MemberPath | null {
  const target = member.linkTarget
  if (target === null) return null
  if (target.length === 0) throw unsafeEntry(path.text, 'is a link to nothing')
  if (member.type !== 'hardlink') {
    if (target.includes(0)) throw unsafeEntry(path.text, 'is a link with a zero byte in its target')
    return null
  }
  try {
    return parseMemberPath(target)
  } catch (error) {
    throw new AppError(
      'damaged',
      `the archive holds an entry that is refused: ${path.text} is a hard link that leads out of the archive`,
      { entry: path.text },
      error,
    )
  }
}
