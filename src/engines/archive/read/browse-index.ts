import { DatabaseSync, type SQLOutputValue, type StatementSync } from 'node:sqlite'
import { AppError } from '../../../core/errors.ts'
import type { SnapshotEntry, SnapshotPage } from '../../engine.ts'
import type { FrameSpan } from '../format/tar-bytes.ts'
import { ENTRY_TYPES, INDEX_VERSION } from './browse-build.ts'

type Row = Record<string, SQLOutputValue>

/** One entry, and where its content stands. */
export interface IndexedEntry {
  readonly entry: SnapshotEntry
  readonly tarOffset: number
  /** Of a hard link: the path that has the content, one character a byte. */
  readonly linkKey: string | null
}

const ROOT = Buffer.from('.')
const SLASH = Buffer.from('/')

const toCursor = (rank: number, name: Uint8Array): string =>
  Buffer.concat([Buffer.from([rank]), name]).toString('base64url')

function parseCursor(cursor: string | null): { rank: number; name: Buffer } {
  if (cursor === null) return { rank: -1, name: Buffer.alloc(0) }
  const bytes = Buffer.from(cursor, 'base64url')
  const rank = bytes[0]
  if (rank !== 0 && rank !== 1) {
    throw new AppError('invalid', 'the cursor is none that this list gave')
  }
  return { rank, name: bytes.subarray(1) }
}

const notFound = (path: string): AppError =>
  new AppError('not_found', `the snapshot has no ${path === '' ? 'root' : path}`, { path })

/** Answers what is in a snapshot, from an index on disk. */
export class BrowseIndex {
  readonly #database: DatabaseSync
  readonly #directoryByPath: StatementSync
  readonly #directoryByShown: StatementSync
  readonly #page: StatementSync
  readonly #one: StatementSync
  readonly #oneByShown: StatementSync
  readonly #frame: StatementSync
  readonly #frameAfter: StatementSync

  /** Throws where there is no index of this version. */
  constructor(path: string) {
    const database = new DatabaseSync(path, { readOnly: true })
    try {
      const version = database.prepare('pragma user_version').get()
      if (version?.['user_version'] !== INDEX_VERSION)
        throw new Error('an index of another version')
      this.#directoryByPath = database.prepare('select id, path from directory where path = ?')
      this.#directoryByShown = database.prepare('select id, path from directory where shown = ?')
      this.#page = database.prepare(
        'select * from entry where directory = ? and (rank, name) > (?, ?) order by rank, name limit ?',
      )
      this.#one = database.prepare('select * from entry where directory = ? and name = ?')
      this.#oneByShown = database.prepare('select * from entry where directory = ? and shown = ?')
      this.#frame = database.prepare(
        'select * from frame where tar_offset <= ? order by tar_offset desc limit 1',
      )
      this.#frameAfter = database.prepare(
        'select * from frame where tar_offset > ? order by tar_offset limit 1',
      )
    } catch (error) {
      database.close()
      throw error
    }
    this.#database = database
  }

  page(path: string, cursor: string | null, limit: number): SnapshotPage {
    const directory = this.#directory(path)
    if (directory === null) throw this.#notADirectory(path)
    const { rank, name } = parseCursor(cursor)
    const rows = this.#page.all(directory.id, rank, name, limit + 1)
    const shown = rows.slice(0, limit)
    const last = shown.at(-1)
    return {
      entries: shown.map((row) => toEntry({ ...directory, shown: path }, row)),
      cursor:
        rows.length > limit && last !== undefined
          ? toCursor(Number(last['rank']), last['name'] as Uint8Array)
          : null,
    }
  }

  /** Throws `not_found` where there is none of that path. */
  entry(path: string): IndexedEntry {
    const slash = path.lastIndexOf('/')
    const parent = slash === -1 ? '' : path.slice(0, slash)
    const directory = this.#directory(parent)
    if (directory === null || path === '') throw notFound(path)
    const name = path.slice(slash + 1)
    const row =
      this.#one.get(directory.id, Buffer.from(name)) ?? this.#oneByShown.get(directory.id, name)
    if (row === undefined) throw notFound(path)
    return toIndexed({ ...directory, shown: parent }, row)
  }

  /** The entry of a path whose bytes are known. */
  entryOfKey(key: string): IndexedEntry {
    const slash = key.lastIndexOf('/')
    const parent = slash === -1 ? '.' : key.slice(0, slash)
    const shownParent = Buffer.from(parent === '.' ? '' : parent, 'latin1').toString('utf8')
    const directory = toDirectory(this.#directoryByPath.get(Buffer.from(parent, 'latin1')))
    const name = Buffer.from(key.slice(slash + 1), 'latin1')
    const row = directory === null ? undefined : this.#one.get(directory.id, name)
    if (directory === null || row === undefined) {
      throw notFound(Buffer.from(key, 'latin1').toString('utf8'))
    }
    return toIndexed({ ...directory, shown: shownParent }, row)
  }

  /** The frame that holds a place of the tar; `null` where there are no frames. */
  frameAt(tarOffset: number): FrameSpan | null {
    const row = this.#frame.get(tarOffset)
    if (row === undefined) return null
    const next = this.#frameAfter.get(tarOffset)
    return {
      tarStart: Number(row['tar_offset']),
      archiveStart: Number(row['archive_offset']),
      tarEnd: next === undefined ? this.#fact('tar_bytes') : Number(next['tar_offset']),
      archiveEnd: next === undefined ? this.#fact('archive_bytes') : Number(next['archive_offset']),
    }
  }

  close(): void {
    this.#database.close()
  }

  #fact(name: string): number {
    return Number(
      this.#database.prepare('select value from fact where name = ?').get(name)?.['value'],
    )
  }

  #directory(path: string): DirectoryRow | null {
    const key = path === '' ? '.' : path
    return toDirectory(
      this.#directoryByPath.get(Buffer.from(key)) ?? this.#directoryByShown.get(key),
    )
  }

  #notADirectory(path: string): AppError {
    try {
      this.entry(path)
    } catch (error) {
      return error instanceof AppError ? error : notFound(path)
    }
    return new AppError('invalid', `${path} is no directory of the snapshot`, { path })
  }
}

interface DirectoryRow {
  readonly id: number
  /** The bytes of its path; `.` is the root. */
  readonly path: Buffer
}

/** A directory under the name that people see. */
interface Parent extends DirectoryRow {
  readonly shown: string
}

const toDirectory = (row: Row | undefined): DirectoryRow | null =>
  row === undefined ? null : { id: Number(row['id']), path: Buffer.from(row['path'] as Uint8Array) }

function toIndexed(parent: Parent, row: Row): IndexedEntry {
  const linkKey = row['link_key']
  return {
    entry: toEntry(parent, row),
    tarOffset: Number(row['tar_offset']),
    linkKey: linkKey instanceof Uint8Array ? Buffer.from(linkKey).toString('latin1') : null,
  }
}

function toEntry(parent: Parent, row: Row): SnapshotEntry {
  const name = Buffer.from(row['name'] as Uint8Array)
  const shown = row['shown']
  const sha256 = row['sha256']
  const link = row['link']
  const text = name.toString('utf8')
  return {
    path: parent.shown === '' ? text : `${parent.shown}/${text}`,
    type: ENTRY_TYPES[Number(row['type'])] ?? 'other',
    bytes: Number(row['bytes']),
    mode: Number(row['mode']),
    modifiedAtMs: Number(row['modified_at_ms']),
    linkTarget: typeof link === 'string' ? link : null,
    sha256: sha256 instanceof Uint8Array ? Buffer.from(sha256).toString('hex') : null,
    pathBytes: typeof shown === 'string' ? pathBytesOf(parent, name) : null,
  }
}

const pathBytesOf = ({ path }: DirectoryRow, name: Buffer): string =>
  (path.equals(ROOT) ? name : Buffer.concat([path, SLASH, name])).toString('base64')
