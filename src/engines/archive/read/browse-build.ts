import { renameSync, rmSync } from 'node:fs'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { AppError } from '../../../core/errors.ts'
import type { ManifestEnd, ManifestEntry, ManifestLine } from '../format/manifest.ts'
import { type ManifestBounds, openManifest, readManifestBatches } from '../format/manifest-file.ts'
import { keyOf } from '../format/manifest-match.ts'
import { parentKey, parseMemberPath } from '../format/member-path.ts'
import type { SharedProgress } from './shared-progress.ts'

/** What the thread that builds an index is told: it appears at `indexPath` whole or not at all. */
export interface IndexJob {
  readonly kind: 'index'
  readonly manifestPath: string
  readonly indexPath: string
  readonly temporaryPath: string
  readonly bounds: ManifestBounds
  /** Entries but for directories, and the SHA-256 of the archive, as they were recorded. */
  readonly itemCount: number
  readonly sha256: string
  /** The index may not become larger. */
  readonly bytesMax: number
}

export interface IndexResult {
  readonly entryCount: number
}

/** Raised when the tables change: an index of another version is built again. */
export const INDEX_VERSION = 1

export const ENTRY_TYPES = ['file', 'directory', 'symlink', 'hardlink'] as const

// Names and paths are bytes, so that their order is that of the bytes. `rank` puts directories first.
// `shown` stands only where a name is no UTF-8.
const TABLES = `
  create table directory (id integer primary key, path blob not null unique, shown text);
  create index directory_shown on directory (shown) where shown is not null;
  create table entry (
    directory integer not null, rank integer not null, name blob not null,
    type integer not null, bytes integer not null, mode integer not null,
    modified_at_ms integer not null, link text, link_key blob, sha256 blob,
    tar_offset integer not null, shown text,
    primary key (directory, rank, name)
  ) without rowid;
  create table frame (tar_offset integer not null, archive_offset integer not null);
  create index frame_tar on frame (tar_offset);
  create table fact (name text primary key, value integer not null) without rowid;
`

const PAGE_BYTES = 4096
/** Of directories that have no entry of their own: more is no tree that was ever read. */
const MISSING_BYTES_MAX = 16 * 1024 * 1024
const SQLITE_FULL = 13
const SQLITE_CONSTRAINT = 19

const damaged = (what: string, cause?: unknown): AppError =>
  new AppError('damaged', `the manifest is damaged: ${what}`, { what }, cause)

const bytesOf = (key: string): Buffer => Buffer.from(key, 'latin1')

/** Builds the index of one manifest, which is read once. */
export async function buildIndex(job: IndexJob, progress: SharedProgress): Promise<IndexResult> {
  rmSync(job.temporaryPath, { force: true })
  const database = new DatabaseSync(job.temporaryPath)
  try {
    database.exec('pragma journal_mode = off; pragma synchronous = off; pragma cache_size = -65536')
    database.exec(
      `pragma page_size = ${PAGE_BYTES}; pragma max_page_count = ${Math.max(1, Math.floor(job.bytesMax / PAGE_BYTES))}`,
    )
    database.exec(TABLES)
    database.exec('begin')
    const index = new IndexWriter(database, job.itemCount)
    const source = openManifest(job.manifestPath, job.bounds)
    for await (const lines of readManifestBatches(source, job.bounds)) {
      progress.throwIfStopped()
      for (const line of lines) index.take(line)
    }
    if (index.end?.sha256 !== job.sha256) throw damaged('it belongs to another archive')
    index.assertWhole()
    database.exec('commit')
    database.exec(`pragma user_version = ${INDEX_VERSION}`)
    database.close()
    renameSync(job.temporaryPath, job.indexPath)
    return { entryCount: index.entryCount }
  } catch (error) {
    if (database.isOpen) database.close()
    rmSync(job.temporaryPath, { force: true })
    throw explain(error, job.bytesMax)
  }
}

/** What a failure of the tables says of the manifest, or of the disk. */
function explain(error: unknown, bytesMax: number): unknown {
  const { code, errcode } = error as { code?: unknown; errcode?: unknown }
  if (code !== 'ERR_SQLITE_ERROR' || typeof errcode !== 'number') return error
  // The low byte is the primary result code (SQLite, "Result and Error Codes").
  const primary = errcode & 0xff
  if (primary === SQLITE_CONSTRAINT) return damaged('it lists a path twice', error)
  if (primary !== SQLITE_FULL) return error
  const what = `a list of what is in the snapshot needs more than the ${bytesMax} bytes that are free beside the data folder`
  return new AppError('no_room', `${what}: make room on its disk`, { freeBytes: bytesMax }, error)
}

class IndexWriter {
  readonly #addDirectory: StatementSync
  readonly #addEntry: StatementSync
  readonly #addFrame: StatementSync
  readonly #addFact: StatementSync
  readonly #findDirectory: StatementSync
  /** Directories that may still get entries, innermost last: the order of the tar is depth first. */
  readonly #open: { key: string; id: number }[] = []
  readonly #itemCountMax: number
  #itemCount = 0
  #missingBytes = 0
  entryCount = 0
  end: ManifestEnd | null = null

  constructor(database: DatabaseSync, itemCountMax: number) {
    this.#itemCountMax = itemCountMax
    this.#addDirectory = database.prepare('insert into directory (path, shown) values (?, ?)')
    this.#addEntry = database.prepare(
      'insert into entry values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    )
    this.#addFrame = database.prepare('insert into frame values (?, ?)')
    this.#addFact = database.prepare('insert into fact values (?, ?)')
    this.#findDirectory = database.prepare('select id from directory where path = ?')
    this.#directory('.', null)
  }

  take(line: ManifestLine): void {
    if (line.line === 'frame') this.#addFrame.run(line.tarOffset, line.archiveOffset)
    else if (line.line === 'end') {
      this.end = line
      this.#addFact.run('tar_bytes', line.tarBytes)
      this.#addFact.run('archive_bytes', line.archiveBytes)
      this.#addFact.run('entry_count', line.entryCount)
    } else if (line.line === 'entry') this.#entry(line)
  }

  assertWhole(): void {
    if (this.#itemCount !== this.#itemCountMax) throw this.#otherCount()
  }

  #otherCount(): AppError {
    return damaged(`it does not list the ${this.#itemCountMax} files that were written`)
  }

  #entry(line: ManifestEntry): void {
    const { key, text, bytes } = parseMemberPath(bytesOf(keyOf(line.path, line.pathBytes)))
    this.entryCount += 1
    const isDirectory = line.type === 'directory'
    if (!isDirectory) this.#itemCount += 1
    if (this.#itemCount > this.#itemCountMax) throw this.#otherCount()
    if (key === '.') return
    const parent = this.#idOf(parentKey(key))
    const shown = bytes === null ? null : text
    this.#addEntry.run(
      parent,
      isDirectory ? 0 : 1,
      bytesOf(key.slice(key.lastIndexOf('/') + 1)),
      ENTRY_TYPES.indexOf(line.type),
      line.bytes,
      line.mode,
      Number(BigInt(line.modifiedAtNs) / 1_000_000n),
      line.linkTarget ?? null,
      line.type === 'hardlink' ? bytesOf(keyOf(line.linkTarget ?? '', line.linkTargetBytes)) : null,
      line.sha256 === undefined ? null : Buffer.from(line.sha256, 'hex'),
      line.offset,
      shown === null ? null : shown.slice(shown.lastIndexOf('/') + 1),
    )
    if (isDirectory) this.#directory(key, shown)
  }

  #directory(key: string, shown: string | null): number {
    const id = Number(this.#addDirectory.run(bytesOf(key), shown).lastInsertRowid)
    this.#open.push({ key, id })
    return id
  }

  /** A directory that vanished while it was read has entries below it, but none of its own: it is made here. */
  #idOf(key: string): number {
    const missing: string[] = []
    let at = key
    let id = this.#knownIdOf(at)
    while (id === null) {
      missing.push(at)
      this.#missingBytes += at.length
      if (this.#missingBytes > MISSING_BYTES_MAX) throw damaged('its directories are missing')
      at = parentKey(at)
      id = this.#knownIdOf(at)
    }
    const type = ENTRY_TYPES.indexOf('directory')
    for (const path of missing.reverse()) {
      const name = bytesOf(path.slice(path.lastIndexOf('/') + 1))
      this.#addEntry.run(id, 0, name, type, 0, 0o755, 0, null, null, null, 0, null)
      id = this.#directory(path, null)
    }
    return id
  }

  #knownIdOf(key: string): number | null {
    while (this.#open.length > 1) {
      const last = this.#open.at(-1)
      if (last === undefined || last.key === key || key.startsWith(`${last.key}/`)) break
      this.#open.pop()
    }
    const last = this.#open.at(-1)
    if (last?.key === key) return last.id
    const known = this.#findDirectory.get(bytesOf(key))
    return known === undefined ? null : Number(known['id'])
  }
}
