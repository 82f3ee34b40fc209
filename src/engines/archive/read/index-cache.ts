import { randomUUID } from 'node:crypto'
import { readdir, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError, noRoom } from '../../../core/errors.ts'
import type { Snapshot } from '../../../core/snapshot.ts'
import { freeBytesOf, isMissing, makeFolder } from '../../../platform/files.ts'
import type { LocalCopy, Pool } from '../../../pools/pool.ts'
import { manifestBounds, parseDetails, snapshotDamaged } from '../format/archive-place.ts'
import { BrowseIndex } from './browse-index.ts'
import type { ReadPool } from './read-pool.ts'

const SUFFIX = '.index'
const BUILDING = '.building-'
const OPEN_MAX = 8
/** Left free on the disk of the folder: the records of the server lie there too. */
const RESERVE_BYTES_DEFAULT = 256 * 1024 * 1024

/** Indexes of snapshots in a folder of their own: built when they are first wanted, the least used removed beyond a size. */
export class IndexCache {
  readonly #folder: string
  readonly #bytesMax: number
  readonly #reserveBytes: number
  readonly #threads: ReadPool
  /** By snapshot, the most recently used last. */
  readonly #open = new Map<string, Promise<BrowseIndex>>()
  /** By snapshot, what stops the building of its index. */
  readonly #building = new Map<string, AbortController>()
  #swept: Promise<void> | null = null

  constructor(options: {
    folder: string
    bytesMax: number
    reserveBytes?: number | undefined
    threads: ReadPool
  }) {
    this.#folder = options.folder
    this.#bytesMax = options.bytesMax
    this.#reserveBytes = options.reserveBytes ?? RESERVE_BYTES_DEFAULT
    this.#threads = options.threads
  }

  async of(snapshot: Snapshot, pool: Pool): Promise<BrowseIndex> {
    const known = this.#open.get(snapshot.id)
    const index = known ?? this.#openOrBuild(snapshot, pool)
    this.#open.delete(snapshot.id)
    this.#open.set(snapshot.id, index)
    if (known === undefined) {
      index.catch(() => this.#open.delete(snapshot.id))
      await this.#closeOldest()
    }
    return index
  }

  async forget(snapshotId: string): Promise<void> {
    const open = this.#open.get(snapshotId)
    this.#open.delete(snapshotId)
    this.#building.get(snapshotId)?.abort(new AppError('not_found', 'the snapshot was removed'))
    await closeQuietly(open)
    await rm(this.#pathOf(snapshotId), { force: true })
  }

  async close(): Promise<void> {
    const all = [...this.#open.values()]
    this.#open.clear()
    const closed = new AppError('unavailable', 'the server stops: look again when it is back')
    for (const building of this.#building.values()) building.abort(closed)
    for (const index of all) await closeQuietly(index)
  }

  #pathOf(snapshotId: string): string {
    return join(this.#folder, `${snapshotId}${SUFFIX}`)
  }

  async #openOrBuild(snapshot: Snapshot, pool: Pool): Promise<BrowseIndex> {
    const path = this.#pathOf(snapshot.id)
    try {
      const index = new BrowseIndex(path)
      const now = Date.now() / 1000
      await utimes(path, now, now)
      return index
    } catch {
      // There is none, or none that can be used: the manifest has it all.
      await this.#build(snapshot, pool, path)
    }
    await this.#shrink(path)
    return new BrowseIndex(path)
  }

  async #build(snapshot: Snapshot, pool: Pool, indexPath: string): Promise<void> {
    const { manifestKey } = parseDetails(snapshot)
    if ((await pool.stat(manifestKey)) === null) {
      throw snapshotDamaged(
        snapshot,
        'its manifest is missing, so it cannot be browsed; it can still be restored or downloaded whole',
      )
    }
    await this.#prepareFolder()
    const bytesMax = await this.#room()
    const stop = new AbortController()
    this.#building.set(snapshot.id, stop)
    const temporaryPath = join(this.#folder, `${BUILDING}${randomUUID()}`)
    let manifest: LocalCopy | null = null
    try {
      manifest = await pool.localCopy(manifestKey, { signal: stop.signal })
      const job = {
        kind: 'index',
        manifestPath: manifest.path,
        indexPath,
        temporaryPath,
        bounds: manifestBounds(snapshot),
        itemCount: snapshot.itemCount,
        sha256: snapshot.sha256,
        bytesMax,
      } as const
      await this.#threads.run<'index'>(job, stop.signal)
    } finally {
      this.#building.delete(snapshot.id)
      await manifest?.release()
      // A thread that had to be ended leaves it behind.
      await rm(temporaryPath, { force: true })
    }
  }

  async #prepareFolder(): Promise<void> {
    await makeFolder(this.#folder)
    this.#swept ??= this.#sweep()
    await this.#swept
  }

  /** What an earlier process was building when it died is of no use to anybody. */
  async #sweep(): Promise<void> {
    for (const name of await readdir(this.#folder)) {
      if (name.startsWith(BUILDING)) await rm(join(this.#folder, name), { force: true })
    }
  }

  async #room(): Promise<number> {
    const freeBytes = await freeBytesOf(this.#folder)
    if (freeBytes > this.#reserveBytes) return freeBytes - this.#reserveBytes
    throw noRoom(this.#reserveBytes, freeBytes)
  }

  /** Removes the indexes that were used longest ago, but never `kept`. */
  async #shrink(kept: string): Promise<void> {
    const found = []
    for (const name of await readdir(this.#folder)) {
      if (!name.endsWith(SUFFIX)) continue
      const path = join(this.#folder, name)
      const stats = await stat(path).catch((error) => {
        if (isMissing(error)) return null
        throw error
      })
      if (stats !== null) found.push({ path, bytes: stats.size, usedAtMs: stats.mtimeMs })
    }
    found.sort((a, b) => b.usedAtMs - a.usedAtMs)
    let total = 0
    for (const { path, bytes } of found) {
      total += bytes
      if (total > this.#bytesMax && path !== kept) await rm(path, { force: true })
    }
  }

  async #closeOldest(): Promise<void> {
    while (this.#open.size > OPEN_MAX) {
      const [oldest] = this.#open
      if (oldest === undefined) return
      this.#open.delete(oldest[0])
      await closeQuietly(oldest[1])
    }
  }
}

/** One that could not be opened has told so to whoever asked for it. */
const closeQuietly = async (index: Promise<BrowseIndex> | undefined): Promise<void> => {
  const opened = await index?.catch(() => null)
  opened?.close()
}
