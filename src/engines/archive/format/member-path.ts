import { isUtf8 } from 'node:buffer'
import { AppError } from '../../../core/errors.ts'

/** The name of an archive's member, proven to stay below the root it is put under. */
export interface MemberPath {
  /** Relative, with `/`; the root itself is `.`. For people: holds replacement characters where the name is no UTF-8. */
  readonly text: string
  /** One character a byte, so that two names are equal exactly when their bytes are. */
  readonly key: string
  /** The bytes of a name that is no UTF-8. */
  readonly bytes: Buffer | null
}

export const ROOT_PATH: MemberPath = { text: '.', key: '.', bytes: null }

/** An empty, `.` or `..` segment; an absolute path begins with an empty one. */
const UNSAFE_SEGMENT = /(?:^|\/)\.{0,2}(?:\/|$)/

// biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII is what is meant
const ASCII = /^[\x00-\x7f]*$/

/** Names longer than this cannot be made on any file system we know. */
const NAME_BYTES_MAX = 64 * 1024

const shown = (name: Buffer): string => JSON.stringify(name.toString('utf8').slice(0, 300))

export const unsafeEntry = (name: string, why: string): AppError =>
  new AppError('damaged', `the archive holds an entry that is refused: ${name} ${why}`, {
    entry: name,
  })

/** Throws `damaged` for a name that is absolute, climbs out or is no name at all. */
export function parseMemberPath(raw: Buffer): MemberPath {
  const key = trimKey(raw.toString('latin1'))
  if (key === '' || key === '.') return ROOT_PATH
  if (raw.length > NAME_BYTES_MAX) throw unsafeEntry(shown(raw), 'has a name that is too long')
  if (key.includes('\0')) throw unsafeEntry(shown(raw), 'has a zero byte in its name')
  if (UNSAFE_SEGMENT.test(key)) throw unsafeEntry(shown(raw), unsafeBecause(key))
  if (ASCII.test(key)) return { text: key, key, bytes: null }
  const bytes = Buffer.from(key, 'latin1')
  if (isUtf8(bytes)) return { text: bytes.toString('utf8'), key, bytes: null }
  return { text: bytes.toString('utf8'), key, bytes }
}

function trimKey(name: string): string {
  if (name === './') return '.'
  const start = name.startsWith('./') ? 2 : 0
  const end = name.endsWith('/') && name.length > 1 ? name.length - 1 : name.length
  return name.slice(start, end)
}

function unsafeBecause(key: string): string {
  if (key.startsWith('/')) return 'is an absolute path'
  if (/(?:^|\/)\.\.(?:\/|$)/.test(key)) return 'climbs out with ".."'
  return 'has an empty or "." segment'
}

/** The key of the directory that holds `key`. */
export function parentKey(key: string): string {
  const slash = key.lastIndexOf('/')
  return slash === -1 ? '.' : key.slice(0, slash)
}

/** Where a member lies below `root`: a string, or bytes where the name is no UTF-8. */
export function below(root: string, path: MemberPath): string | Buffer {
  if (path.key === '.') return root
  if (path.bytes === null) return `${root}/${path.text}`
  return Buffer.concat([Buffer.from(`${root}/`), path.bytes])
}
