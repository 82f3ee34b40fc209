import { createHash, hash } from 'node:crypto'
import { difference, ManifestEntries, mismatch } from '../format/manifest-match.ts'
import { openTarBytes, type TarPlace } from '../format/tar-bytes.ts'
import { type TarEntry, TarReader } from '../format/tar-reader.ts'
import type { SharedProgress } from './shared-progress.ts'

/**
 * What the thread that proves an uncompressed archive is told. It works beside
 * the thread that extracts: reading the archive twice costs less than hashing
 * everything in one thread.
 */
export interface ProveJob {
  readonly kind: 'prove'
  readonly place: TarPlace
  readonly entryCountMax: number
  readonly manifestPath: string
}

export interface LargeHash {
  /** Where the content begins in the tar. */
  readonly offset: number
  readonly sha256: string
}

export interface ProveResult {
  readonly bytes: number
  readonly sha256: string
  /** What the manifest says of the files that the other thread hashes. */
  readonly largeHashes: readonly LargeHash[]
}

/** Files from this size on are hashed by the thread that extracts them, so that both have their share. */
export const LARGE_BYTES = 4 * 1024 * 1024

/** SHA-256 of the whole archive, and every entry compared with the manifest. */
export async function proveArchive(job: ProveJob, progress: SharedProgress): Promise<ProveResult> {
  const whole = createHash('sha256')
  const bytes = openTarBytes(job.place)
  const lines = new ManifestEntries(job.manifestPath)
  const hashing = {
    next: async () => {
      progress.throwIfStopped()
      const window = await bytes.next()
      if (window !== null) whole.update(window)
      return window
    },
  }
  try {
    const { tarBytesMax } = job.place
    const reader = new TarReader(hashing, { entryCountMax: job.entryCountMax, tarBytesMax })
    const largeHashes: LargeHash[] = []
    for (let entry = await reader.next(); entry !== null; entry = await reader.next()) {
      const line = await lines.next()
      if (line === null) throw mismatch(entry.path.text, 'is not in the manifest')
      const different = difference(entry, line)
      if (different !== null) throw mismatch(entry.path.text, different)
      if (line.type !== 'file') continue
      if (line.bytes >= LARGE_BYTES) {
        largeHashes.push({ offset: entry.contentOffset, sha256: line.sha256 ?? '' })
      } else if ((await hashContent(entry, reader)) !== line.sha256) {
        throw mismatch(entry.path.text, 'its content has another SHA-256')
      }
    }
    const missing = await lines.next()
    if (missing !== null) throw mismatch(missing.path, 'is not in the archive')
    return { bytes: reader.position, sha256: whole.digest('hex'), largeHashes }
  } finally {
    bytes.close()
    await lines.close()
  }
}

async function hashContent(entry: TarEntry, reader: TarReader): Promise<string> {
  const first = await reader.piece()
  if (first === null) return hash('sha256', '', 'hex')
  if (first.length === entry.member.bytes) return hash('sha256', first, 'hex')
  const content = createHash('sha256').update(first)
  for (let piece = await reader.piece(); piece !== null; piece = await reader.piece()) {
    content.update(piece)
  }
  return content.digest('hex')
}

/** Whether every file that one thread hashed is as the other one read of it. */
export function sameLargeHashes(
  found: readonly LargeHash[],
  expected: readonly LargeHash[],
): boolean {
  const wanted = new Map(expected.map(({ offset, sha256 }) => [offset, sha256]))
  return found.every(({ offset, sha256 }) => wanted.get(offset) === sha256)
}
