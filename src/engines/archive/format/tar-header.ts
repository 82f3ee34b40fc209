import { AppError } from '../../../core/errors.ts'
import { decodePaxNumber, decodePaxTime, encodePax, type PaxRecords } from './pax.ts'

/** Tar is written and read in blocks of this many bytes. */
export const BLOCK_BYTES = 512
/** An archive ends with two blocks of zeros. */
export const END_BYTES = 2 * BLOCK_BYTES

/** The bytes of content and the zeros that fill its last block. */
export const paddedBytes = (bytes: number): number => Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES

export type TarMemberType = 'file' | 'directory' | 'symlink' | 'hardlink'

/** One member as both the writer and the reader see it. Names are bytes: nobody promises that they are UTF-8. */
export interface TarMember {
  /** Relative to the root, without a slash at the end; the root itself is `.`. */
  readonly name: Buffer
  readonly type: TarMemberType
  /** Of the content that follows: 0 but for files. */
  readonly bytes: number
  /** Permission bits only (`& 0o7777`). */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly modifiedAtNs: bigint
  /** Of a symlink as it stands; of a hard link the name of the member that has the content. */
  readonly linkTarget: Buffer | null
  /** The file had holes. */
  readonly sparse: boolean
  readonly xattrs: ReadonlyMap<string, Buffer> | null
}

/** One header block as it stands, before PAX records are laid over it. */
export interface TarBlock {
  /** The type flag as a character: `0`, `1`, `2`, `5`, `x`, `g` and whatever others there are. */
  readonly flag: string
  readonly name: Buffer
  readonly linkName: Buffer
  /** Of what follows this block, before a PAX `size` is laid over it. Never negative, always a safe integer. */
  readonly bytes: number
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly modifiedAtSeconds: number
  /** What the seconds leave out; 0 in archives of others. */
  readonly modifiedAtNanoseconds: number
}

const FLAG = { file: '0', hardlink: '1', symlink: '2', directory: '5' } as const satisfies Record<
  TarMemberType,
  string
>

/** Where the fields of a ustar block stand: offset and length (POSIX.1-2001, "ustar Interchange Format"). */
const NAME = [0, 100] as const
const MODE = [100, 8] as const
const UID = [108, 8] as const
const GID = [116, 8] as const
const SIZE = [124, 12] as const
const MTIME = [136, 12] as const
const CHECKSUM = [148, 8] as const
const FLAG_AT = 156
const LINK_NAME = [157, 100] as const
const MAGIC_AT = 257
const PREFIX = [345, 155] as const
/**
 * The nanoseconds of the time, in decimal. POSIX leaves the last twelve bytes
 * of a block unused and other tools do not look at them: they see whole seconds,
 * as in archives of GNU tar. A PAX record for it would be 1 KiB a file: it made
 * an archive of 100,000 files of 1 to 8 KiB a fifth larger and slower.
 */
const NANOSECONDS = [500, 9] as const

type Field = readonly [offset: number, length: number]

/** Digits of a field: the last byte of it is a zero. */
const octalMax = ([, length]: Field): number => 8 ** (length - 1) - 1

const ID_MAX = octalMax(UID)
const SIZE_MAX = octalMax(SIZE)
const NS_PER_SECOND = 1_000_000_000n
const ZEROS = Buffer.alloc(BLOCK_BYTES)
const PAX_NAME = Buffer.from('PaxHeaders/holdfast')
/** More than any honest member needs: PAX records are refused beyond it. */
export const PAX_BYTES_MAX = 8 * 1024 * 1024

/** Writes digits and answers their sum, which the checksum needs. */
function putOctal(block: Buffer, [offset, length]: Field, value: number): number {
  let rest = value
  let sum = 0
  for (let at = offset + length - 2; at >= offset; at -= 1) {
    const next = Math.floor(rest / 8)
    const digit = 0x30 + rest - next * 8
    block[at] = digit
    sum += digit
    rest = next
  }
  return sum
}

function putNanoseconds(block: Buffer, value: number): number {
  const [offset, length] = NANOSECONDS
  let rest = value
  let sum = 0
  for (let at = offset + length - 1; at >= offset; at -= 1) {
    const next = Math.floor(rest / 10)
    const digit = 0x30 + rest - next * 10
    block[at] = digit
    sum += digit
    rest = next
  }
  return sum
}

function putBytes(block: Buffer, [offset, length]: Field, bytes: Buffer): number {
  const end = bytes.length < length ? bytes.length : length
  let sum = 0
  for (let at = 0; at < end; at += 1) {
    const byte = bytes[at] ?? 0
    block[offset + at] = byte
    sum += byte
  }
  return sum
}

interface BlockFields {
  readonly name: Buffer
  readonly flag: string
  readonly bytes: number
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly seconds: number
  readonly nanoseconds: number
  readonly linkName: Buffer | null
}

const WRITTEN_MAGIC = Buffer.from('ustar\u000000', 'latin1')
/** What no member changes: the magic, and the checksum field, which counts as spaces. */
const FIXED_SUM = 8 * 0x20 + WRITTEN_MAGIC.reduce((sum, byte) => sum + byte, 0)

/** Fields that do not fit are cut here and told in full by PAX records. */
function putBlock(block: Buffer, fields: BlockFields): void {
  block.fill(0)
  const flag = fields.flag.charCodeAt(0)
  block[FLAG_AT] = flag
  WRITTEN_MAGIC.copy(block, MAGIC_AT)
  const sum =
    FIXED_SUM +
    flag +
    putBytes(block, NAME, fields.name) +
    putOctal(block, MODE, fields.mode) +
    putOctal(block, UID, fields.uid) +
    putOctal(block, GID, fields.gid) +
    putOctal(block, SIZE, fields.bytes) +
    putOctal(block, MTIME, fields.seconds) +
    (fields.nanoseconds === 0 ? 0 : putNanoseconds(block, fields.nanoseconds)) +
    (fields.linkName === null ? 0 : putBytes(block, LINK_NAME, fields.linkName))
  putOctal(block, [CHECKSUM[0], 7], sum)
  block[CHECKSUM[0] + 7] = 0x20
}

function isAscii(bytes: Buffer): boolean {
  for (let at = 0; at < bytes.length; at += 1) if ((bytes[at] ?? 0) >= 0x80) return false
  return true
}

const TIME_END_NS = BigInt(SIZE_MAX + 1) * NS_PER_SECOND

const fitsTime = (ns: bigint): boolean => ns >= 0n && ns < TIME_END_NS

const fits = (name: Buffer): boolean => name.length <= NAME[1] && isAscii(name)

function timeText(ns: bigint): string {
  const negative = ns < 0n
  const size = negative ? -ns : ns
  const rest = size % NS_PER_SECOND
  const digits = rest.toString().padStart(9, '0')
  return `${negative ? '-' : ''}${size / NS_PER_SECOND}${rest === 0n ? '' : `.${digits}`}`
}

const XATTR_PREFIX = 'SCHILY.xattr.'

/** A keyword of PAX ends at its first `=`: GNU tar writes `%3D` for it, and `%25` for a percent sign. */
const toXattrKeyword = (name: string): string =>
  name.replace(/[%=]/g, (char) => (char === '%' ? '%25' : '%3D'))

const toXattrName = (keyword: string): string =>
  keyword.replace(/%(?:25|3D)/g, (code) => (code === '%25' ? '%' : '='))

function paxOf(member: TarMember, name: Buffer): readonly (readonly [string, string | Buffer])[] {
  const records: (readonly [string, string | Buffer])[] = []
  if (!fits(name)) records.push(['path', name])
  if (member.linkTarget !== null && !fits(member.linkTarget)) {
    records.push(['linkpath', member.linkTarget])
  }
  if (member.bytes > SIZE_MAX) records.push(['size', String(member.bytes)])
  if (member.uid > ID_MAX) records.push(['uid', String(member.uid)])
  if (member.gid > ID_MAX) records.push(['gid', String(member.gid)])
  if (member.sparse) records.push(['HOLDFAST.sparse', '1'])
  for (const [name, value] of member.xattrs ?? []) {
    records.push([`${XATTR_PREFIX}${toXattrKeyword(name)}`, value])
  }
  // Where there are records anyway the time costs nothing, and other tools see all of it.
  const isWhole = member.modifiedAtNs % NS_PER_SECOND === 0n
  if (!fitsTime(member.modifiedAtNs) || (records.length > 0 && !isWhole)) {
    records.push(['mtime', timeText(member.modifiedAtNs)])
  }
  return records
}

const DIRECTORY_END = Buffer.from('/')

/**
 * The blocks that stand before the content of a member: PAX records where ustar
 * cannot say it, then the ustar block. Answers a view of `scratch` where that
 * is large enough: use it before the next call.
 */
export function encodeTarHeader(member: TarMember, scratch?: Buffer): Buffer {
  const name =
    member.type === 'directory' ? Buffer.concat([member.name, DIRECTORY_END]) : member.name
  const records = paxOf(member, name)
  const pax = records.length === 0 ? null : encodePax(records)
  const bytes = BLOCK_BYTES + (pax === null ? 0 : BLOCK_BYTES + paddedBytes(pax.length))
  const target =
    scratch !== undefined && scratch.length >= bytes
      ? scratch.subarray(0, bytes)
      : Buffer.allocUnsafe(bytes)
  if (pax !== null) {
    const fields = { mode: 0o644, uid: 0, gid: 0, seconds: 0, nanoseconds: 0, linkName: null }
    const block = target.subarray(0, BLOCK_BYTES)
    putBlock(block, { name: PAX_NAME, flag: 'x', bytes: pax.length, ...fields })
    pax.copy(target, BLOCK_BYTES)
    target.fill(0, BLOCK_BYTES + pax.length, bytes - BLOCK_BYTES)
  }
  const time = fitsTime(member.modifiedAtNs) ? member.modifiedAtNs : 0n
  const seconds = time / NS_PER_SECOND
  putBlock(target.subarray(bytes - BLOCK_BYTES), {
    name,
    flag: FLAG[member.type],
    bytes: member.bytes > SIZE_MAX ? 0 : member.bytes,
    mode: member.mode,
    uid: member.uid > ID_MAX ? 0 : member.uid,
    gid: member.gid > ID_MAX ? 0 : member.gid,
    seconds: Number(seconds),
    nanoseconds: Number(time - seconds * NS_PER_SECOND),
    linkName: member.linkTarget,
  })
  return target
}

const damaged = (what: string): AppError =>
  new AppError('damaged', `the archive is damaged: ${what}`, { what })

const NOTHING = Buffer.alloc(0)

/** A view of the block: most fields are looked at and forgotten. */
function textOf(block: Buffer, [offset, length]: Field): Buffer {
  if (block[offset] === 0) return NOTHING
  const end = block.indexOf(0, offset)
  return block.subarray(offset, end < 0 || end > offset + length ? offset + length : end)
}

/** Octal, or the base-256 of GNU tar where the first bit is set. Refuses what is neither, negative or unsafe. */
function numberOf(block: Buffer, field: Field, what: string): number {
  const [offset, length] = field
  const first = block[offset] ?? 0
  if (first >= 0x80) {
    if (first !== 0x80) throw damaged(`a negative or huge ${what}`)
    const value = BigInt(`0x${block.subarray(offset + 1, offset + length).toString('hex')}`)
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw damaged(`a huge ${what}`)
    return Number(value)
  }
  const end = offset + length
  let at = offset
  let value = 0
  while (at < end && block[at] === 0x20) at += 1
  for (; at < end; at += 1) {
    const digit = (block[at] ?? 0) - 0x30
    if (digit < 0 || digit > 7) break
    value = value * 8 + digit
  }
  while (at < end && block[at] === 0x20) at += 1
  if (at < end && block[at] !== 0) throw damaged(`a ${what} that is no number`)
  return value
}

function checkSum(block: Buffer): void {
  let sum = 8 * 0x20
  for (let at = 0; at < CHECKSUM[0]; at += 1) sum += block[at] as number
  for (let at = CHECKSUM[0] + CHECKSUM[1]; at < BLOCK_BYTES; at += 1) sum += block[at] as number
  if (numberOf(block, CHECKSUM, 'checksum') !== sum) throw damaged('a header with a wrong checksum')
}

/** 0 where something else than our digits stands there. */
function nanosecondsOf(block: Buffer): number {
  const [offset, length] = NANOSECONDS
  if (block[offset] === 0) return 0
  let value = 0
  for (let at = offset; at < offset + length; at += 1) {
    const digit = (block[at] ?? 0) - 0x30
    if (digit < 0 || digit > 9) return 0
    value = value * 10 + digit
  }
  return value
}

const USTAR = Buffer.from('ustar\u0000', 'latin1')

function isUstar(block: Buffer): boolean {
  for (let at = 0; at < USTAR.length; at += 1) {
    if (block[MAGIC_AT + at] !== USTAR[at]) return false
  }
  return true
}

/**
 * Reads one header block; `null` for a block of zeros. Throws `damaged` where
 * it is no header. The names are views of `block`: good as long as it is.
 */
export function decodeTarBlock(block: Buffer): TarBlock | null {
  if (block.length !== BLOCK_BYTES) throw damaged('it ends inside a header')
  if (block[0] === 0 && block.equals(ZEROS)) return null
  checkSum(block)
  const head = isUstar(block) ? textOf(block, PREFIX) : NOTHING
  const tail = textOf(block, NAME)
  return {
    flag: String.fromCharCode(block[FLAG_AT] === 0 ? 0x30 : (block[FLAG_AT] ?? 0)),
    name: head.length === 0 ? tail : Buffer.concat([head, DIRECTORY_END, tail]),
    linkName: textOf(block, LINK_NAME),
    bytes: numberOf(block, SIZE, 'size'),
    mode: numberOf(block, MODE, 'mode') & 0o7777,
    uid: numberOf(block, UID, 'uid'),
    gid: numberOf(block, GID, 'gid'),
    modifiedAtSeconds: numberOf(block, MTIME, 'time'),
    modifiedAtNanoseconds: nanosecondsOf(block),
  }
}

const TYPES: Readonly<Record<string, TarMemberType>> = {
  '0': 'file',
  '7': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '5': 'directory',
}

const NO_RECORDS: PaxRecords = new Map()

function xattrsOf(pax: PaxRecords): ReadonlyMap<string, Buffer> | null {
  if (pax.size === 0 || (pax.size === 1 && pax.has('mtime'))) return null
  const found = new Map<string, Buffer>()
  for (const [key, value] of pax) {
    if (key.startsWith(XATTR_PREFIX)) {
      found.set(toXattrName(key.slice(XATTR_PREFIX.length)), value)
    }
  }
  return found.size === 0 ? null : found
}

function withoutEndSlashes(name: Buffer): Buffer {
  let end = name.length
  while (end > 1 && name[end - 1] === 0x2f) end -= 1
  return end === name.length ? name : name.subarray(0, end)
}

/**
 * The member that a header block and the PAX records before it tell of; `null`
 * where its type is none that Holdfast writes (a device, a FIFO, ...). The name
 * is not judged here: it may be absolute or hold `..`.
 */
export function toTarMember(block: TarBlock, pax: PaxRecords | null): TarMember | null {
  const type = TYPES[block.flag]
  if (type === undefined) return null
  const records = pax ?? NO_RECORDS
  const number = (key: string, otherwise: number): number => {
    const value = records.get(key)
    return value === undefined ? otherwise : decodePaxNumber(value, key)
  }
  const time = records.get('mtime')
  const links = type === 'symlink' || type === 'hardlink'
  return {
    name: withoutEndSlashes(records.get('path') ?? block.name),
    type,
    bytes: type === 'file' ? number('size', block.bytes) : 0,
    mode: block.mode,
    uid: number('uid', block.uid),
    gid: number('gid', block.gid),
    modifiedAtNs:
      time === undefined
        ? BigInt(block.modifiedAtSeconds) * NS_PER_SECOND + BigInt(block.modifiedAtNanoseconds)
        : decodePaxTime(time),
    linkTarget: links ? (records.get('linkpath') ?? block.linkName) : null,
    sparse: records.has('HOLDFAST.sparse'),
    xattrs: xattrsOf(records),
  }
}
