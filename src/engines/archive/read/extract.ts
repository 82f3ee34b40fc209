import { basename } from 'node:path'
import { difference, ManifestEntries, mismatch } from '../format/manifest-match.ts'
import { openTarBytes, type TarPlace } from '../format/tar-bytes.ts'
import { type TarEntry, TarReader } from '../format/tar-reader.ts'
import { LARGE_BYTES, type LargeHash } from './prove.ts'
import { Selection } from './selection.ts'
import type { SharedProgress } from './shared-progress.ts'
import { Staging } from './staging.ts'
import { XattrList } from './xattr-list.ts'

/** What the thread that extracts is told. Plain data: it is copied to the thread. */
export interface ExtractJob {
  readonly kind: 'extract'
  readonly place: TarPlace
  readonly entryCountMax: number
  /** `null` where there is none, or another thread compares it: see `prove.ts`. */
  readonly manifestPath: string | null
  /** The private directory that the tree grows in, and where side files wait. */
  readonly root: string
  readonly sideRoot: string
  readonly xattrsPath: string
  /** `null` takes everything. */
  readonly patterns: readonly string[] | null
  /** Keys of files that are not wanted themselves, but a hard link to them is. */
  readonly sideKeys: readonly string[]
  /** See `StagingOptions.existing`. */
  readonly existing: string | null
  /** Entries that begin before this were made by an earlier run; 0 where there was none. */
  readonly resumeOffset: number
}

export interface ExtractResult {
  readonly fileCount: number
  readonly directoryCount: number
  readonly linkCount: number
  readonly contentBytes: number
  /** Bytes of tar that were read, its end blocks included. */
  readonly tarBytes: number
  readonly hasXattrs: boolean
  /** Of files of `LARGE_BYTES` and more: by the place of their content in the tar. */
  readonly largeHashes: readonly LargeHash[]
}

/** The item that is being worked on is told once every so many entries. */
const ITEM_EVERY = 32

/**
 * Reads the whole tar once: every entry is compared with the manifest, and what
 * is wanted grows below `root`. Throws `damaged` at the first thing that is not
 * as it must be.
 */
export async function extract(job: ExtractJob, progress: SharedProgress): Promise<ExtractResult> {
  const bytes = openTarBytes(job.place)
  const lines = job.manifestPath === null ? null : new ManifestEntries(job.manifestPath)
  try {
    const run = new Extraction(job, progress)
    const reader = new TarReader(bytes, {
      entryCountMax: job.entryCountMax,
      tarBytesMax: job.place.tarBytesMax,
    })
    for (let entry = await reader.next(); entry !== null; entry = await reader.next()) {
      progress.throwIfStopped()
      const line = lines === null ? null : await lines.next()
      if (lines !== null) {
        if (line === null) throw mismatch(entry.path.text, 'is not in the manifest')
        const different = difference(entry, line)
        if (different !== null) throw mismatch(entry.path.text, different)
      }
      await run.take(entry, reader, line?.sha256 ?? null)
      progress.set('bytesDone', reader.position)
    }
    const missing = (await lines?.next()) ?? null
    if (missing !== null) throw mismatch(missing.path, 'is not in the archive')
    progress.set('bytesDone', reader.position)
    return run.finish(reader.position)
  } finally {
    bytes.close()
    await lines?.close()
  }
}

class Extraction {
  readonly #job: ExtractJob
  readonly #progress: SharedProgress
  readonly #staging: Staging
  readonly #selection: Selection | null
  readonly #sideIndexes: ReadonlyMap<string, number>
  readonly #xattrs: XattrList
  readonly #largeHashes: LargeHash[] = []
  #entryCount = 0
  #fileCount = 0
  #directoryCount = 0
  #linkCount = 0
  #contentBytes = 0

  constructor(job: ExtractJob, progress: SharedProgress) {
    this.#job = job
    this.#progress = progress
    this.#selection = job.patterns === null ? null : new Selection(job.patterns)
    this.#sideIndexes = new Map(job.sideKeys.map((key, index) => [key, index]))
    this.#xattrs = new XattrList(job.xattrsPath, basename(job.root))
    this.#staging = new Staging({
      root: job.root,
      sideRoot: job.sideRoot,
      existing: job.existing,
      resumed: job.resumeOffset > 0,
    })
  }

  async take(entry: TarEntry, reader: TarReader, sha256: string | null): Promise<void> {
    if (this.#entryCount % ITEM_EVERY === 0) this.#progress.item = entry.path.text
    this.#entryCount += 1
    this.#staging.enter(entry.path)
    const selected = this.#selection === null || this.#selection.has(entry.path.text)
    const done = entry.startOffset < this.#job.resumeOffset
    if (entry.member.type === 'directory') {
      // Directories are made again in a resumed run: their metadata is set when they are left.
      this.#staging.directory(entry.path, entry.member, selected)
      if (selected) this.#directoryCount += 1
    } else if (entry.member.type === 'file') {
      await this.#takeFile(entry, reader, sha256, selected, done)
    } else if (selected) {
      if (!done) this.#takeLink(entry)
      this.#linkCount += 1
    }
    if (selected) this.#xattrs.add(entry.path, entry.member.xattrs)
    if (selected && entry.member.type !== 'directory') this.#progress.add('itemsDone', 1)
    if (!done) this.#noteSafe(entry)
  }

  finish(tarBytes: number): ExtractResult {
    this.#staging.close()
    const hasXattrs = this.#xattrs.close()
    return {
      fileCount: this.#fileCount,
      directoryCount: this.#directoryCount,
      linkCount: this.#linkCount,
      contentBytes: this.#contentBytes,
      tarBytes,
      hasXattrs,
      largeHashes: this.#largeHashes,
    }
  }

  async #takeFile(
    entry: TarEntry,
    reader: TarReader,
    sha256: string | null,
    selected: boolean,
    done: boolean,
  ): Promise<void> {
    const sideIndex = selected ? undefined : this.#sideIndexes.get(entry.path.key)
    if (selected) {
      this.#fileCount += 1
      this.#contentBytes += entry.member.bytes
    }
    if (done || (!selected && sideIndex === undefined)) return
    const isLarge = entry.member.bytes >= LARGE_BYTES
    const hashed = sha256 !== null || isLarge
    const file =
      sideIndex === undefined
        ? this.#staging.file(entry.path, entry.member, hashed)
        : this.#staging.sideFile(sideIndex, entry.member, hashed)
    try {
      for (let piece = await reader.piece(); piece !== null; piece = await reader.piece()) {
        this.#progress.throwIfStopped()
        file.write(piece)
        this.#progress.set('bytesDone', reader.position)
      }
    } catch (error) {
      file.abandon()
      throw error
    }
    const found = file.finish()
    if (isLarge && found !== null) {
      this.#largeHashes.push({ offset: entry.contentOffset, sha256: found })
    }
    if (sha256 !== null && sha256 !== found) {
      throw mismatch(entry.path.text, 'its content has another SHA-256')
    }
  }

  #takeLink(entry: TarEntry): void {
    if (entry.linkPath === null) {
      this.#staging.symlink(entry.path, entry.member)
      return
    }
    const sideIndex = this.#sideIndexes.get(entry.linkPath.key) ?? null
    this.#staging.hardlink(entry.path, entry.linkPath, sideIndex)
  }

  /** What comes before the end of this entry need not be made again by a next run. */
  #noteSafe(entry: TarEntry): void {
    this.#progress.set('safeItems', this.#fileCount + this.#linkCount)
    this.#progress.set('safeBytes', this.#contentBytes)
    this.#progress.set('safeOffset', entry.contentOffset + entry.member.bytes)
  }
}
