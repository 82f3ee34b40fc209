import { createHash } from 'node:crypto'
import { basename } from 'node:path'
import { Readable } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { AppError } from '../../../core/errors.ts'
import type { Snapshot } from '../../../core/snapshot.ts'
import type { ByteRange, Pool, PoolDirectory } from '../../../pools/pool.ts'
import type { SnapshotContent, SnapshotPage, SnapshotReader } from '../../engine.ts'
import { assertArchive, parseDetails, snapshotDamaged } from '../format/archive-place.ts'
import type { Compression } from '../format/manifest.ts'
import type { BrowseIndex, IndexedEntry } from './browse-index.ts'
import { IndexCache } from './index-cache.ts'
import type { ReadPool } from './read-pool.ts'

export interface ArchiveReaderOptions {
  readonly pools: PoolDirectory
  readonly threads: ReadPool
  /** A folder for nothing else: indexes of snapshots are kept in it, and built again when it is emptied. */
  readonly cacheFolder: string
  readonly cacheBytesMax?: number
  /** Left free on the disk of that folder. */
  readonly cacheReserveBytes?: number
}

const CACHE_BYTES_MAX = 1024 * 1024 * 1024

/** Reads snapshots of format `archive` where they rest. */
export class ArchiveReader implements SnapshotReader {
  readonly #pools: PoolDirectory
  readonly #indexes: IndexCache

  constructor(options: ArchiveReaderOptions) {
    this.#pools = options.pools
    this.#indexes = new IndexCache({
      folder: options.cacheFolder,
      bytesMax: options.cacheBytesMax ?? CACHE_BYTES_MAX,
      reserveBytes: options.cacheReserveBytes,
      threads: options.threads,
    })
  }

  async browse(
    snapshot: Snapshot,
    options: { readonly path: string; readonly cursor: string | null; readonly limit: number },
  ): Promise<SnapshotPage> {
    const { index } = await this.#open(snapshot)
    return index.page(cleanPath(options.path), options.cursor, options.limit)
  }

  async file(snapshot: Snapshot, path: string | Buffer): Promise<SnapshotContent> {
    const { index, pool } = await this.#open(snapshot)
    const named =
      typeof path === 'string'
        ? index.entry(cleanPath(path))
        : index.entryOfKey(cleanPath(path.toString('latin1')))
    const clean = named.entry.path
    const found = named.linkKey === null ? named : index.entryOfKey(named.linkKey)
    if (found.entry.type !== 'file') {
      throw new AppError('invalid', `${clean} is a ${found.entry.type}, not a file`, {
        path: clean,
      })
    }
    await assertArchive(pool, snapshot)
    const { bytes, sha256 } = found.entry
    return {
      name: basename(clean),
      bytes,
      modifiedAtMs: named.entry.modifiedAtMs,
      sha256,
      open: async (range, signal) => {
        const clamped = clampRange(range, bytes)
        const pieces = readContent({ snapshot, pool, index, found, range: clamped, signal })
        const whole = clamped.start === 0 && clamped.end === bytes && sha256 !== null
        return Readable.from(whole ? proven(pieces, sha256, snapshot) : pieces, {
          objectMode: false,
        })
      },
    }
  }

  async whole(snapshot: Snapshot): Promise<SnapshotContent> {
    const pool = await this.#pools.open(snapshot.poolId)
    await assertArchive(pool, snapshot)
    return {
      name: basename(snapshot.key),
      bytes: snapshot.bytes,
      modifiedAtMs: snapshot.createdAtMs,
      sha256: snapshot.sha256,
      open: (range, signal) => pool.read(snapshot.key, clampRange(range, snapshot.bytes), signal),
    }
  }

  async remove(snapshot: Snapshot): Promise<void> {
    const pool = await this.#pools.open(snapshot.poolId)
    await this.#indexes.forget(snapshot.id)
    // The archive first: a manifest alone is known by its name to belong to nothing.
    await pool.remove(snapshot.key)
    await pool.remove(parseDetails(snapshot).manifestKey)
  }

  /** Closes the indexes that are open. */
  async close(): Promise<void> {
    await this.#indexes.close()
  }

  async #open(snapshot: Snapshot): Promise<{ index: BrowseIndex; pool: Pool }> {
    parseDetails(snapshot)
    const pool = await this.#pools.open(snapshot.poolId)
    return { index: await this.#indexes.of(snapshot, pool), pool }
  }
}

function cleanPath(path: string): string {
  const segments = path.split('/').filter((segment) => segment !== '' && segment !== '.')
  if (segments.includes('..') || path.includes('\0')) {
    throw new AppError('invalid', 'a path of a snapshot has no ".." in it', {})
  }
  return segments.join('/')
}

const clampRange = (range: ByteRange, bytes: number): ByteRange => {
  const end = Math.max(0, Math.min(range.end, bytes))
  return { start: Math.max(0, Math.min(range.start, end)), end }
}

interface ContentPlace {
  readonly snapshot: Snapshot
  readonly pool: Pool
  readonly index: BrowseIndex
  readonly found: IndexedEntry
  readonly range: ByteRange
  readonly signal: AbortSignal
}

/** Reads a part of one file, and no frame that it is not in. */
async function* readContent(place: ContentPlace): AsyncGenerator<Buffer> {
  const { snapshot, pool, found, range, signal } = place
  const { compression } = parseDetails(snapshot)
  let at = found.tarOffset + range.start
  const end = found.tarOffset + range.end
  if (at >= end) return
  if (compression === 'none') {
    yield* await pool.read(snapshot.key, { start: at, end }, signal)
    return
  }
  while (at < end) {
    signal.throwIfAborted()
    const frame = place.index.frameAt(at)
    if (frame === null || frame.tarEnd <= at) {
      throw snapshotDamaged(snapshot, 'its manifest does not tell where its frames are')
    }
    const until = Math.min(end, frame.tarEnd)
    const packed = await pool.read(
      snapshot.key,
      { start: frame.archiveStart, end: frame.archiveEnd },
      signal,
    )
    const part = { start: at - frame.tarStart, end: until - frame.tarStart }
    yield* unpackPart(packed, compression, part, snapshot)
    at = until
  }
}

/** The bytes of `part` out of one frame; throws where the frame has fewer. */
async function* unpackPart(
  packed: Readable,
  compression: Exclude<Compression, 'none'>,
  part: ByteRange,
  snapshot: Snapshot,
): AsyncGenerator<Buffer> {
  const options = { chunkSize: 256 * 1024 }
  const unpack = compression === 'gzip' ? createGunzip(options) : createZstdDecompress(options)
  packed.once('error', (error) => unpack.destroy(error))
  packed.pipe(unpack)
  let position = 0
  try {
    for await (const chunk of unpack as AsyncIterable<Buffer>) {
      const from = Math.max(0, part.start - position)
      const to = Math.min(chunk.length, part.end - position)
      position += chunk.length
      if (from < to) yield chunk.subarray(from, to)
      if (position >= part.end) return
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? ''
    if (!/^Z_|ZSTD/.test(code)) throw error
    throw snapshotDamaged(snapshot, 'a part of its archive cannot be unpacked', error)
  } finally {
    packed.destroy()
    unpack.destroy()
  }
  throw snapshotDamaged(snapshot, 'a part of its archive is shorter than its manifest says')
}

/** Fails at the end where a whole file is not what was backed up: a short answer is better than a wrong one. */
async function* proven(
  pieces: AsyncGenerator<Buffer>,
  sha256: string,
  snapshot: Snapshot,
): AsyncGenerator<Buffer> {
  const hash = createHash('sha256')
  let last: Buffer | null = null
  for await (const piece of pieces) {
    hash.update(piece)
    if (last !== null) yield last
    last = piece
  }
  if (hash.digest('hex') !== sha256) {
    throw snapshotDamaged(snapshot, 'the content of this file has another SHA-256')
  }
  if (last !== null) yield last
}
