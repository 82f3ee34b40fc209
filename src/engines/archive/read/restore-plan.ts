import { AppError } from '../../../core/errors.ts'
import type { ManifestEnd, ManifestEntry, ManifestStart } from '../format/manifest.ts'
import {
  type ManifestBounds,
  openManifest,
  parseManifestLine,
  readManifestTexts,
} from '../format/manifest-file.ts'
import { keyOf } from '../format/manifest-match.ts'
import { type FrameTable, openTarBytes, type TarPlace } from '../format/tar-bytes.ts'
import { TarReader } from '../format/tar-reader.ts'
import { Selection } from './selection.ts'
import type { SharedProgress } from './shared-progress.ts'

/** What the thread that plans is told: to read through the manifest, or through the tar where there is none. */
export interface PlanJob {
  readonly kind: 'plan'
  readonly manifestPath: string | null
  readonly bounds: ManifestBounds
  /** Read where the manifest is missing and only some of it is wanted. */
  readonly place: TarPlace | null
  readonly entryCountMax: number
  readonly patterns: readonly string[] | null
}

export interface ArchivePlan {
  /** `null` without a manifest. */
  readonly start: ManifestStart | null
  readonly end: ManifestEnd | null
  readonly frames: FrameTable | null
  /** Entries but for directories; `null` without a manifest. */
  readonly itemCount: number | null
  /** Of what is wanted. `null` where everything is. */
  readonly wanted: WantedTotals | null
}

export interface WantedTotals {
  /** Entries but for directories. */
  readonly itemCount: number
  readonly contentBytes: number
  /** Of `contentBytes`, those of files with holes. */
  readonly sparseBytes: number
  readonly unmatched: readonly string[]
  /** Files that are not wanted, but a hard link to them is. */
  readonly sideKeys: readonly string[]
}

const ENTRY_START = '{"line":"entry"'
/** No path can hold this: quotes in it are escaped. */
const DIRECTORY = '"type":"directory"'

class Totals {
  readonly #selection: Selection
  readonly #sideKeys = new Set<string>()
  #itemCount = 0
  #contentBytes = 0
  #sparseBytes = 0

  constructor(patterns: readonly string[] | null) {
    this.#selection = new Selection(patterns ?? ['.'])
  }

  add(entry: Pick<ManifestEntry, 'path' | 'type' | 'bytes' | 'sparse'>): boolean {
    if (!this.#selection.has(entry.path)) return false
    if (entry.type !== 'directory') this.#itemCount += 1
    this.#contentBytes += entry.bytes
    if (entry.sparse === true) this.#sparseBytes += entry.bytes
    return true
  }

  /** A wanted hard link whose content stands under another path. */
  addLink(target: string, targetKey: string): void {
    if (!this.#selection.has(target)) this.#sideKeys.add(targetKey)
  }

  result(): WantedTotals {
    return {
      itemCount: this.#itemCount,
      contentBytes: this.#contentBytes,
      sparseBytes: this.#sparseBytes,
      unmatched: this.#selection.unmatched(),
      sideKeys: [...this.#sideKeys],
    }
  }
}

/** Reads what must be known before anything is made. */
export async function planArchive(job: PlanJob, progress: SharedProgress): Promise<ArchivePlan> {
  if (job.manifestPath !== null) return planFromManifest(job.manifestPath, job, progress)
  if (job.place === null)
    return { start: null, end: null, frames: null, itemCount: null, wanted: null }
  return planFromTar(job.place, job, progress)
}

async function planFromManifest(
  manifestPath: string,
  job: PlanJob,
  progress: SharedProgress,
): Promise<ArchivePlan> {
  const totals = job.patterns === null ? null : new Totals(job.patterns)
  const tarOffsets: number[] = []
  const archiveOffsets: number[] = []
  let start: ManifestStart | null = null
  let end: ManifestEnd | null = null
  let itemCount = 0
  const source = openManifest(manifestPath, job.bounds)
  for await (const texts of readManifestTexts(source, job.bounds)) {
    progress.throwIfStopped()
    for (const text of texts) {
      if (text.startsWith(ENTRY_START)) {
        if (!text.includes(DIRECTORY)) itemCount += 1
        if (totals === null) continue
        progress.throwIfStopped()
      }
      const line = parseManifestLine(text)
      if (line.line === 'start') start = line
      else if (line.line === 'end') end = line
      else if (line.line === 'frame') {
        tarOffsets.push(line.tarOffset)
        archiveOffsets.push(line.archiveOffset)
      } else if (totals?.add(line) === true && line.type === 'hardlink') {
        const target = line.linkTarget ?? ''
        totals.addLink(target, keyOf(target, line.linkTargetBytes))
      }
    }
  }
  if (start === null || end === null) {
    throw new AppError('damaged', 'the manifest is damaged: it was cut', { what: 'it was cut' })
  }
  const frames =
    start.compression === 'none'
      ? null
      : { tarOffsets, archiveOffsets, tarBytes: end.tarBytes, archiveBytes: end.archiveBytes }
  return { start, end, frames, itemCount, wanted: totals?.result() ?? null }
}

async function planFromTar(
  place: TarPlace,
  job: PlanJob,
  progress: SharedProgress,
): Promise<ArchivePlan> {
  const totals = new Totals(job.patterns)
  const bytes = openTarBytes(place)
  try {
    const { entryCountMax } = job
    const reader = new TarReader(bytes, { entryCountMax, tarBytesMax: place.tarBytesMax })
    for (let entry = await reader.next(); entry !== null; entry = await reader.next()) {
      progress.throwIfStopped()
      const { type, bytes: size, sparse } = entry.member
      const line = {
        path: entry.path.text,
        type,
        bytes: size,
        ...(sparse && { sparse: true as const }),
      }
      if (totals.add(line) && entry.linkPath !== null) {
        totals.addLink(entry.linkPath.text, entry.linkPath.key)
      }
    }
  } finally {
    bytes.close()
  }
  return { start: null, end: null, frames: null, itemCount: null, wanted: totals.result() }
}
