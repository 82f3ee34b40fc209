import { createReadStream, renameSync, rmSync } from 'node:fs'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { ManifestEntry, ManifestLine } from '../format/manifest.ts'
import { readManifestBatches } from '../format/manifest-file.ts'
import { keyOf } from '../format/manifest-match.ts'
import { parentKey, parseMemberPath } from '../format/member-path.ts'
import type { SharedProgress } from './shared-progress.ts'

/** What the thread that builds an index is told: it appears at `indexPath` whole or not at all. */
export interface IndexJob {
  readonly kind: 'index'
  readonly manifestPath: string
  readonly indexPath: string
  readonly temporaryPath: string
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

const bytesOf = (key: string): Buffer => Buffer.from(key, 'latin1')

/** Builds the index of one manifest, which is read once. */
export async function buildIndex(job: IndexJob, progress: SharedProgress): Promise<IndexResult> {
  rmSync(job.temporaryPath, { force: true })
  const database = new DatabaseSync(job.temporaryPath)
  try {
    database.exec('pragma journal_mode = off; pragma synchronous = off; pragma cache_size = -65536')
    database.exec(TABLES)
    database.exec('begin')
    const index = new IndexWriter(database)
    const batches = readManifestBatches(createReadStream(job.manifestPath))
    for await (const lines of batches) {
      progress.throwIfStopped()
      for (const line of lines) index.take(line)
    }
    database.exec('commit')
    database.exec(`pragma user_version = ${INDEX_VERSION}`)
    database.close()
    renameSync(job.temporaryPath, job.indexPath)
    return { entryCount: index.entryCount }
  } catch (error) {
    if (database.isOpen) database.close()
    rmSync(job.temporaryPath, { force: true })
    throw error
  }
}

class IndexWriter {
  readonly #addDirectory: StatementSync
  readonly #addEntry: StatementSync
  readonly #addFrame: StatementSync
  readonly #addFact: StatementSync
  readonly #findDirectory: StatementSync
  /** Directories that may still get entries, innermost last: the order of the tar is depth first. */
  readonly #open: { key: string; id: number }[] = []
  entryCount = 0

  constructor(database: DatabaseSync) {
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
      this.#addFact.run('tar_bytes', line.tarBytes)
      this.#addFact.run('archive_bytes', line.archiveBytes)
      this.#addFact.run('entry_count', line.entryCount)
    } else if (line.line === 'entry') this.#entry(line)
  }

  #entry(line: ManifestEntry): void {
    const { key, text, bytes } = parseMemberPath(bytesOf(keyOf(line.path, line.pathBytes)))
    this.entryCount += 1
    const isDirectory = line.type === 'directory'
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

  #idOf(key: string): number {
    while (this.#open.length > 1) {
      const last = this.#open.at(-1)
      if (last === undefined || last.key === key || key.startsWith(`${last.key}/`)) break
      this.#open.pop()
    }
    const last = this.#open.at(-1)
    if (last?.key === key) return last.id
    const known = this.#findDirectory.get(bytesOf(key))
    if (known !== undefined) return Number(known['id'])
    return this.#missingDirectory(key)
  }

  /** A directory that vanished while it was read has entries below it, but none of its own. */
  #missingDirectory(key: string): number {
    const parent = this.#idOf(parentKey(key))
    const name = bytesOf(key.slice(key.lastIndexOf('/') + 1))
    const type = ENTRY_TYPES.indexOf('directory')
    this.#addEntry.run(parent, 0, name, type, 0, 0o755, 0, null, null, null, 0, null)
    return this.#directory(key, null)
  }
}
