import { createHash, hash } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import { AppError } from '../../../core/errors.ts'
import type { ManifestEntry } from '../format/manifest.ts'
import { difference, ManifestEntries } from '../format/manifest-match.ts'
import { FrameFile, type FrameTable, openTarBytes, type TarPlace } from '../format/tar-bytes.ts'
import { END_BYTES, paddedBytes } from '../format/tar-header.ts'
import { type TarEntry, TarReader } from '../format/tar-reader.ts'
import type { SharedProgress } from './shared-progress.ts'

/** What the thread that verifies is told. */
export interface VerifyJob {
  readonly kind: 'verify'
  readonly place: TarPlace
  readonly entryCountMax: number
  /** `null` where the manifest is missing: then the tar is only read through. */
  readonly manifestPath: string | null
}

export interface Damage {
  /** A path inside the snapshot, or `null` where it is about the archive or its manifest. */
  readonly path: string | null
  /** Set where the name is no UTF-8: its bytes in base64. `path` then holds replacement characters. */
  readonly pathBytes?: string
  readonly what: string
}

export interface VerifyScan {
  readonly checkedFiles: number
  readonly checkedBytes: number
  readonly damageCount: number
  /** The first of them. */
  readonly damages: readonly Damage[]
}

/** Damages kept word for word; what comes after them is only counted. */
export const DAMAGES_KEPT_MAX = 1000

const WINDOW_BYTES = 4 * 1024 * 1024

const damaged = (what: string): AppError =>
  new AppError('damaged', `the archive is damaged: ${what}`, { what })

/** A part of the archive that cannot be read. It is told once; of each file in it only that it is lost. */
class LostPart extends Error {
  override readonly name = 'LostPart'
}

const CUT = 'the archive was cut: its end is missing'
const LOST = 'it cannot be read'

/** Any place of a tar, in whichever form it rests. Reading on is fast; a damaged frame is not unpacked twice. */
class TarWindow {
  readonly #plain: number | null
  readonly #frames: FrameFile | null
  #window: Buffer = Buffer.alloc(0)
  #start = 0
  #frameIndex = -1
  #frameError: unknown = null

  constructor(place: TarPlace) {
    const { compression, frames, archivePath } = place
    if (compression !== 'none' && frames === null) throw damaged('its frames are not known')
    this.#frames =
      compression === 'none' || frames === null
        ? null
        : new FrameFile(archivePath, compression, frames)
    this.#plain = this.#frames === null ? openSync(archivePath, 'r') : null
    if (this.#plain !== null) this.#window = Buffer.allocUnsafeSlow(WINDOW_BYTES).subarray(0, 0)
  }

  /** Some bytes from `offset` on, at least one; good until the next call. */
  bytesAt(offset: number): Buffer {
    if (offset < this.#start || offset >= this.#start + this.#window.length) this.#load(offset)
    return this.#window.subarray(offset - this.#start)
  }

  close(): void {
    if (this.#plain !== null) closeSync(this.#plain)
    this.#frames?.close()
  }

  #load(offset: number): void {
    if (this.#frames !== null) {
      this.#loadFrame(this.#frames, offset)
      return
    }
    const whole = Buffer.from(this.#window.buffer)
    const count = readSync(this.#plain ?? -1, whole, 0, whole.length, offset)
    if (count === 0) throw new LostPart(CUT)
    this.#window = whole.subarray(0, count)
    this.#start = offset
  }

  #loadFrame(file: FrameFile, offset: number): void {
    const { tarOffsets } = file.frames
    let index = Math.max(0, this.#frameIndex)
    if ((tarOffsets[index] ?? 0) > offset) index = 0
    while ((tarOffsets[index + 1] ?? file.frames.tarBytes) <= offset) {
      index += 1
      if (index >= tarOffsets.length) throw new LostPart(CUT)
    }
    if (index === this.#frameIndex && this.#frameError !== null) throw asError(this.#frameError)
    this.#frameIndex = index
    this.#window = Buffer.alloc(0)
    try {
      this.#window = file.read(index)
      this.#frameError = null
    } catch (error) {
      this.#frameError = toLostPart(error, file.frames, index)
      throw this.#frameError
    }
    this.#start = tarOffsets[index] ?? 0
  }
}

function toLostPart(error: unknown, frames: FrameTable, index: number): unknown {
  if (!(error instanceof AppError) || error.code !== 'damaged') return error
  if (error.details['what'] === 'it was cut') return new LostPart(CUT, { cause: error })
  const start = frames.archiveOffsets[index] ?? 0
  const end = frames.archiveOffsets[index + 1] ?? frames.archiveBytes
  const what = `bytes ${start} to ${end} of the archive cannot be unpacked`
  return new LostPart(what, { cause: error })
}

const asError = (error: unknown): Error =>
  error instanceof Error ? error : new Error(String(error))

class Damages {
  readonly kept: Damage[] = []
  count = 0

  add(path: string | null, what: string): void {
    this.count += 1
    if (this.kept.length < DAMAGES_KEPT_MAX) this.kept.push({ path, what })
  }
}

/** What a failure says of the archive. What is no damage, such as a disk that cannot be read, is thrown on. */
function whatOf(error: unknown): string {
  if (error instanceof AppError && error.code === 'damaged') {
    return String(error.details['what'] ?? error.message)
  }
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'EIO') return 'the disk cannot read it'
  throw asError(error)
}

/** Reads everything again and compares it with the manifest; goes on behind a damage, so that the list of files is true. */
export async function verifyArchive(job: VerifyJob, progress: SharedProgress): Promise<VerifyScan> {
  if (job.manifestPath === null) return readThrough(job, progress)
  const scan = new Scan(job, progress)
  const lines = new ManifestEntries(job.manifestPath)
  try {
    for (let line = await lines.next(); line !== null; line = await lines.next()) {
      progress.throwIfStopped()
      await scan.take(line)
    }
    return scan.finish()
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'damaged') throw error
    // Of the archive every damage is in the list: this one is of the manifest itself.
    return scan.breakOff(`${error.message}; the files after that line were not checked one by one`)
  } finally {
    scan.close()
    await lines.close()
  }
}

class Scan {
  readonly #job: VerifyJob
  readonly #progress: SharedProgress
  readonly #window: TarWindow
  readonly #damages = new Damages()
  readonly #lostParts = new Set<string>()
  /** Where the next header begins; `null` where a damage hides it. */
  #start: number | null = 0
  #checkedFiles = 0
  #checkedBytes = 0

  constructor(job: VerifyJob, progress: SharedProgress) {
    this.#job = job
    this.#progress = progress
    this.#window = new TarWindow(job.place)
  }

  async take(line: ManifestEntry): Promise<void> {
    const isFile = line.type === 'file'
    if (isFile) this.#progress.item = line.path
    const headerAt = isFile ? this.#start : line.offset
    let problem: string | null = null
    let entry: TarEntry | null = null
    try {
      entry = headerAt === null ? null : await this.#headerAt(headerAt)
      const different = entry === null ? null : difference(entry, line)
      if (different !== null) {
        problem = `the archive has ${different} for it than its manifest says`
      }
    } catch (error) {
      problem = this.#whatOf(error)
    }
    if (isFile) {
      problem ??= this.#contentProblem(line)
      this.#checkedFiles += 1
      this.#checkedBytes += line.bytes
      this.#start = line.offset + paddedBytes(line.bytes)
    } else this.#start = problem === null ? (entry?.contentOffset ?? null) : null
    if (problem !== null) this.#tell(line.path, problem)
    if (line.type !== 'directory') this.#progress.add('itemsDone', 1)
    this.#progress.set('bytesDone', this.#start ?? line.offset)
  }

  finish(): VerifyScan {
    const { tarBytes, what } = this.#end()
    if (what !== null) this.#damages.add(null, what)
    this.#progress.set('bytesDone', tarBytes)
    return this.#result()
  }

  /** Where the manifest cannot be read any further. */
  breakOff(what: string): VerifyScan {
    this.#damages.add(null, what)
    return this.#result()
  }

  #tell(path: string, what: string): void {
    if (path === '.') this.#damages.add(null, `the top folder: ${what}`)
    else this.#damages.add(path, what)
  }

  #whatOf(error: unknown): string {
    if (!(error instanceof LostPart)) return whatOf(error)
    if (!this.#lostParts.has(error.message)) this.#damages.add(null, error.message)
    this.#lostParts.add(error.message)
    return LOST
  }

  #result(): VerifyScan {
    return {
      checkedFiles: this.#checkedFiles,
      checkedBytes: this.#checkedBytes,
      damageCount: this.#damages.count,
      damages: this.#damages.kept,
    }
  }

  close(): void {
    this.#window.close()
  }

  async #headerAt(offset: number): Promise<TarEntry> {
    let at = offset
    const bytes = {
      next: () => {
        const chunk = this.#window.bytesAt(at)
        at += chunk.length
        return chunk
      },
    }
    const { tarBytesMax } = this.#job.place
    const reader = new TarReader(bytes, { entryCountMax: 1, tarBytesMax }, offset)
    const entry = await reader.next()
    if (entry === null) throw damaged('the archive ends before it')
    return entry
  }

  #contentProblem(line: ManifestEntry): string | null {
    try {
      const found = this.#hash(line.offset, line.bytes)
      return found === line.sha256 ? null : 'its content has another SHA-256'
    } catch (error) {
      return this.#whatOf(error)
    }
  }

  #hash(offset: number, bytes: number): string {
    if (bytes === 0) return hash('sha256', '', 'hex')
    const first = this.#window.bytesAt(offset)
    if (first.length >= bytes) return hash('sha256', first.subarray(0, bytes), 'hex')
    const whole = createHash('sha256')
    let done = 0
    while (done < bytes) {
      this.#progress.throwIfStopped()
      const chunk = this.#window.bytesAt(offset + done)
      const piece = chunk.subarray(0, Math.min(chunk.length, bytes - done))
      whole.update(piece)
      done += piece.length
      this.#progress.set('bytesDone', offset + done)
    }
    return whole.digest('hex')
  }

  /** Behind the last member there must be the end blocks, and nothing but zeros. */
  #end(): { tarBytes: number; what: string | null } {
    const tarBytes = this.#job.place.tarBytesMax
    if (this.#start === null) return { tarBytes, what: null }
    if (tarBytes - this.#start < END_BYTES)
      return { tarBytes, what: 'the archive was cut: its end blocks are missing' }
    try {
      for (let at = this.#start; at < tarBytes; ) {
        const chunk = this.#window.bytesAt(at).subarray(0, tarBytes - at)
        if (chunk.some((byte) => byte !== 0))
          return { tarBytes, what: 'the archive goes on after its end' }
        at += chunk.length
      }
    } catch (error) {
      if (error instanceof LostPart) this.#whatOf(error)
      else return { tarBytes, what: `the end of the archive cannot be read: ${whatOf(error)}` }
    }
    return { tarBytes, what: null }
  }
}

/** Without a manifest nothing is known of the files: the tar must at least be one to its end. */
async function readThrough(job: VerifyJob, progress: SharedProgress): Promise<VerifyScan> {
  const damages = new Damages()
  let checkedFiles = 0
  let checkedBytes = 0
  let last: string | null = null
  const bytes = openTarBytes(job.place)
  try {
    const { tarBytesMax } = job.place
    const reader = new TarReader(bytes, { entryCountMax: job.entryCountMax, tarBytesMax })
    for (let entry = await reader.next(); entry !== null; entry = await reader.next()) {
      progress.throwIfStopped()
      last = entry.path.text
      if (entry.member.type === 'file') {
        checkedFiles += 1
        checkedBytes += entry.member.bytes
      }
      if (entry.member.type !== 'directory') progress.add('itemsDone', 1)
      progress.set('bytesDone', reader.position)
    }
  } catch (error) {
    damages.add(
      last === '.' ? null : last,
      `the archive cannot be read on from here: ${whatOf(error)}`,
    )
  } finally {
    bytes.close()
  }
  return { checkedFiles, checkedBytes, damageCount: damages.count, damages: damages.kept }
}
