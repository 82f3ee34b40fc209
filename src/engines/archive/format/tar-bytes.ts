import { closeSync, createReadStream, openSync, readSync } from 'node:fs'
import { createGunzip, createZstdDecompress, gunzipSync, zstdDecompressSync } from 'node:zlib'
import { AppError } from '../../../core/errors.ts'
import { freeNow } from './free-now.ts'
import type { Compression } from './manifest.ts'

/** The uncompressed bytes of a tar from its beginning. What `next` answers is good until `next` is called again. */
export interface TarBytes {
  /** `null` at the end. */
  next(): Buffer | null | Promise<Buffer | null>
  close(): void
}

/** Where the frames of a compressed archive begin, and where the last one ends. */
export interface FrameTable {
  readonly tarOffsets: readonly number[]
  readonly archiveOffsets: readonly number[]
  readonly tarBytes: number
  readonly archiveBytes: number
}

export interface TarPlace {
  readonly archivePath: string
  readonly compression: Compression
  /** `null` where the manifest that names them is missing, and for an uncompressed archive. */
  readonly frames: FrameTable | null
  /** More than this much tar is refused while it is unpacked. */
  readonly tarBytesMax: number
}

const WINDOW_BYTES = 4 * 1024 * 1024
/** Of one frame in the archive or out of it: a manifest that says more is no manifest of ours. */
const FRAME_BYTES_MAX = 256 * 1024 * 1024

const damaged = (what: string, cause?: unknown): AppError =>
  new AppError('damaged', `the archive is damaged: ${what}`, { what }, cause)

/** Opens a tar at its beginning. Closed by `close`. */
export function openTarBytes(place: TarPlace): TarBytes {
  if (place.compression === 'none') return new PlainBytes(place.archivePath)
  if (place.frames !== null) {
    return new FrameBytes(place.archivePath, place.compression, place.frames)
  }
  return new StreamBytes(place.archivePath, place.compression, place.tarBytesMax)
}

/** An uncompressed tar, read by synchronous calls into one buffer. */
class PlainBytes implements TarBytes {
  readonly #file: number
  readonly #window = Buffer.allocUnsafeSlow(WINDOW_BYTES)
  #position = 0

  constructor(path: string) {
    this.#file = openSync(path, 'r')
  }

  next(): Buffer | null {
    const count = readSync(this.#file, this.#window, 0, WINDOW_BYTES, this.#position)
    this.#position += count
    return count === 0 ? null : this.#window.subarray(0, count)
  }

  close(): void {
    closeSync(this.#file)
  }
}

/** Unpacks one frame, which must give exactly the bytes that the table promises of it. */
export function unpackFrame(
  packed: Buffer,
  compression: Exclude<Compression, 'none'>,
  tarBytes: number,
): Buffer {
  const options = { maxOutputLength: Math.max(1, tarBytes), chunkSize: Math.max(64, tarBytes) }
  let frame: Buffer
  try {
    frame =
      compression === 'gzip' ? gunzipSync(packed, options) : zstdDecompressSync(packed, options)
  } catch (error) {
    throw damaged('a frame cannot be unpacked', error)
  }
  if (frame.length !== tarBytes) throw damaged('a frame has another size than its manifest says')
  return frame
}

export interface FrameSpan {
  readonly tarStart: number
  readonly tarEnd: number
  readonly archiveStart: number
  readonly archiveEnd: number
}

/** What a frame covers; throws `damaged` where the table cannot be true. */
export function frameSpan(frames: FrameTable, index: number): FrameSpan {
  const span = {
    tarStart: frames.tarOffsets[index] ?? 0,
    tarEnd: frames.tarOffsets[index + 1] ?? frames.tarBytes,
    archiveStart: frames.archiveOffsets[index] ?? 0,
    archiveEnd: frames.archiveOffsets[index + 1] ?? frames.archiveBytes,
  }
  const tarBytes = span.tarEnd - span.tarStart
  const archiveBytes = span.archiveEnd - span.archiveStart
  if (tarBytes < 0 || archiveBytes <= 0 || Math.max(tarBytes, archiveBytes) > FRAME_BYTES_MAX) {
    throw damaged('its manifest tells of an impossible frame')
  }
  return span
}

/** Reads frames of a compressed archive, one at a time. */
export class FrameFile {
  readonly frames: FrameTable
  readonly #compression: Exclude<Compression, 'none'>
  readonly #file: number
  #room = Buffer.alloc(0)

  constructor(path: string, compression: Exclude<Compression, 'none'>, frames: FrameTable) {
    this.frames = frames
    this.#compression = compression
    this.#file = openSync(path, 'r')
  }

  /** Throws `damaged` where the frame is cut or cannot be unpacked; the next ones may still be well. */
  read(index: number): Buffer {
    const span = frameSpan(this.frames, index)
    const packed = this.#packedRoom(span.archiveEnd - span.archiveStart)
    let filled = 0
    while (filled < packed.length) {
      const at = span.archiveStart + filled
      const count = readSync(this.#file, packed, filled, packed.length - filled, at)
      if (count === 0) throw damaged('it was cut')
      filled += count
    }
    return unpackFrame(packed, this.#compression, span.tarEnd - span.tarStart)
  }

  /** Of one frame at a time, and used again: a new one for each would lie in memory until V8 collects. */
  #packedRoom(bytes: number): Buffer {
    if (this.#room.length < bytes) this.#room = Buffer.allocUnsafeSlow(bytes)
    return this.#room.subarray(0, bytes)
  }

  close(): void {
    closeSync(this.#file)
  }
}

class FrameBytes implements TarBytes {
  readonly #file: FrameFile
  #index = 0
  #last: Buffer = Buffer.alloc(0)

  constructor(path: string, compression: Exclude<Compression, 'none'>, frames: FrameTable) {
    this.#file = new FrameFile(path, compression, frames)
  }

  next(): Buffer | null {
    // Nobody looks at the last frame any more. Left to V8, they were 40 MB.
    freeNow(this.#last)
    while (this.#index < this.#file.frames.tarOffsets.length) {
      const frame = this.#file.read(this.#index)
      this.#index += 1
      this.#last = frame
      if (frame.length > 0) return frame
    }
    return null
  }

  close(): void {
    this.#file.close()
  }
}

/** A compressed archive without a table of its frames: unpacked as one stream. */
class StreamBytes implements TarBytes {
  readonly #chunks: AsyncIterator<Buffer>
  readonly #close: () => void
  #left: number

  constructor(path: string, compression: Exclude<Compression, 'none'>, tarBytesMax: number) {
    const options = { chunkSize: 1024 * 1024 }
    const source = createReadStream(path, { highWaterMark: 1024 * 1024 })
    const unpack = compression === 'gzip' ? createGunzip(options) : createZstdDecompress(options)
    source.once('error', (error) => unpack.destroy(error))
    source.pipe(unpack)
    this.#left = tarBytesMax
    this.#chunks = (unpack as AsyncIterable<Buffer>)[Symbol.asyncIterator]()
    this.#close = () => {
      source.destroy()
      unpack.destroy()
    }
  }

  async next(): Promise<Buffer | null> {
    let step: IteratorResult<Buffer>
    try {
      step = await this.#chunks.next()
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? ''
      throw /^Z_|ZSTD/.test(code) ? damaged('it cannot be unpacked', error) : error
    }
    if (step.done === true) return null
    this.#left -= step.value.length
    if (this.#left < 0) throw damaged('it unpacks to more than its snapshot says')
    return step.value
  }

  close(): void {
    this.#close()
  }
}
