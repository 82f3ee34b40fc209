import { AppError } from '../../../core/errors.ts'
import type { Snapshot } from '../../../core/snapshot.ts'
import type { LocalCopy, Pool, PublishOptions } from '../../../pools/pool.ts'
import { COMPRESSIONS, type Compression } from './manifest.ts'
import type { ManifestBounds } from './manifest-file.ts'
import { BLOCK_BYTES, END_BYTES } from './tar-header.ts'

/** What a snapshot of format `archive` keeps in its details. */
export interface ArchiveDetails {
  readonly compression: Compression
  readonly manifestKey: string
  readonly tarBytes: number
  readonly fileCount: number
  /** Of the manifest as it rests; `null` where that was not recorded. */
  readonly manifestBytes: number | null
}

export const snapshotDamaged = (snapshot: Snapshot, what: string, cause?: unknown): AppError =>
  new AppError(
    'damaged',
    `snapshot ${snapshot.id} is damaged: ${what}`,
    { snapshotId: snapshot.id, what },
    cause,
  )

const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0

export function parseDetails(snapshot: Snapshot): ArchiveDetails {
  const { compression, manifestKey, tarBytes, fileCount, manifestBytes } = snapshot.details
  const known = COMPRESSIONS.find((name) => name === compression)
  if (
    snapshot.format !== 'archive' ||
    known === undefined ||
    typeof manifestKey !== 'string' ||
    !isCount(tarBytes) ||
    !isCount(fileCount)
  ) {
    throw snapshotDamaged(snapshot, 'its record does not tell how it was made')
  }
  const written = isCount(manifestBytes) ? manifestBytes : null
  return { compression: known, manifestKey, tarBytes, fileCount, manifestBytes: written }
}

/** No tar of this many bytes has more entries. */
export const entryCountMax = (tarBytes: number): number =>
  Math.ceil(Math.max(0, tarBytes - END_BYTES) / BLOCK_BYTES)

/** A line repeats what stands in the headers of its member: at most six characters for a byte, and the names of fields. */
const TEXT_PER_HEADER_BYTE = 8
const FRAME_LINE_BYTES = 100
/** Frames are cut where a checkpoint falls too, so that a few may be tiny. */
const FRAME_BYTES = 4 * 1024
const FRAMES_EXTRA = 16 * 1024

/** What the manifest of this snapshot can be at most: another one must not fill memory or a disk. */
export function manifestBounds(snapshot: Snapshot): ManifestBounds {
  const { tarBytes, manifestBytes } = parseDetails(snapshot)
  const headerBytes = Math.max(0, tarBytes - snapshot.contentBytes)
  const frameCount = Math.ceil(tarBytes / FRAME_BYTES) + FRAMES_EXTRA
  return {
    packedBytes: manifestBytes,
    textBytes: headerBytes * TEXT_PER_HEADER_BYTE + frameCount * FRAME_LINE_BYTES,
    lineCount: entryCountMax(headerBytes) + frameCount,
  }
}

/** Copies of an archive and its manifest that synchronous calls can read. */
export interface ArchiveCopies {
  readonly archivePath: string
  /** `null` where the pool has none. */
  readonly manifestPath: string | null
  release(): Promise<void>
}

/** Throws `damaged` where the archive is missing or has another size than its record says. */
export async function openArchive(
  pool: Pool,
  snapshot: Snapshot,
  options: PublishOptions,
): Promise<ArchiveCopies> {
  const details = parseDetails(snapshot)
  await assertArchive(pool, snapshot)
  const manifest = await copyIfThere(pool, details.manifestKey, options)
  let archive: LocalCopy
  try {
    archive = await pool.localCopy(snapshot.key, options)
  } catch (error) {
    await manifest?.release()
    throw error
  }
  return {
    archivePath: archive.path,
    manifestPath: manifest?.path ?? null,
    release: async () => {
      await archive.release()
      await manifest?.release()
    },
  }
}

export async function assertArchive(pool: Pool, snapshot: Snapshot): Promise<void> {
  const info = await pool.stat(snapshot.key)
  if (info === null) throw snapshotDamaged(snapshot, 'its archive is missing from the pool')
  if (info.bytes !== snapshot.bytes) {
    throw snapshotDamaged(
      snapshot,
      `its archive has ${info.bytes} bytes, not the ${snapshot.bytes} that were written`,
    )
  }
}

async function copyIfThere(
  pool: Pool,
  key: string,
  options: PublishOptions,
): Promise<LocalCopy | null> {
  if ((await pool.stat(key)) === null) return null
  return pool.localCopy(key, options)
}
