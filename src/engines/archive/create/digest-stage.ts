import { createHash, type Hash, hash } from 'node:crypto'
import { closeSync, ftruncateSync, openSync, readSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { freeNow } from '../format/free-now.ts'
import { type Compression, MANIFEST_VERSION } from '../format/manifest.ts'
import { encodeManifestLine } from '../format/manifest-file.ts'
import { unpackFrame } from '../format/tar-bytes.ts'
import { endHashedLine } from './entry-line.ts'
import { CHECKPOINT, LAST, MARK, Ring, type RingMemory, type SlotInfo } from './ring.ts'
import { NOTE, NOTE_HEAD_BYTES } from './slot-writer.ts'
import { writeAll } from './write-all.ts'

/** Where the content of the open file stands in the staged archive: its hash is made again from there. */
export interface OpenContent {
  readonly archivePath: string
  readonly compression: Compression
  readonly contentOffset: number
  readonly bytes: number
  /** The frames from the header of the file on, and the end of the last. */
  readonly frames: readonly { readonly tarOffset: number; readonly archiveOffset: number }[]
  readonly tarBytes: number
  readonly archiveBytes: number
}

export interface DigestStageInput {
  readonly ring: RingMemory
  readonly manifestPath: string
  readonly compression: Compression
  readonly createdAtMs: number
  readonly tarBytes: number
  /** What is kept of a manifest that was begun: 0 for a new one. */
  readonly manifestBytes: number
  readonly markManifestBytes: number
  readonly entryCount: number
  readonly fileCount: number
  readonly contentBytes: number
  readonly open: OpenContent | null
}

export interface ManifestNews {
  readonly is: 'manifest'
  readonly id: number
  readonly manifestBytes: number
  readonly entryCount: number
  readonly fileCount: number
  readonly contentBytes: number
  /** Where the manifest can be cut together with the archive at its last mark. */
  readonly markManifestBytes: number
}

export interface DigestResult {
  readonly manifestBytes: number
  readonly entryCount: number
  readonly fileCount: number
  readonly contentBytes: number
  readonly tarBytes: number
  readonly archiveBytes: number
  readonly sha256: string
}

const MEMBER_BYTES = 512 * 1024
/** All of a member comes in one chunk, which can be given back. */
const GZIP = { level: 1, chunkSize: MEMBER_BYTES * 2 + 64 * 1024 } as const
const READ_BYTES = 1024 * 1024

/** Hashes the files in the slots and writes the manifest, in gzip members, so that it can be cut behind each. */
export class DigestStage {
  readonly #input: DigestStageInput
  readonly #say: (news: ManifestNews) => void
  readonly #ring: Ring
  readonly #fd: number
  readonly #buffer = Buffer.allocUnsafeSlow(MEMBER_BYTES * 2)
  #buffered = 0
  #manifestBytes: number
  #markManifestBytes: number
  #entryCount: number
  #fileCount: number
  #contentBytes: number
  #tarBytes: number
  #hash: Hash | null = null
  #openBytes = 0
  /** The next frame to write down. */
  #frame = 0

  constructor(input: DigestStageInput, say: (news: ManifestNews) => void) {
    this.#input = input
    this.#say = say
    this.#ring = new Ring(input.ring)
    this.#manifestBytes = input.manifestBytes
    this.#markManifestBytes = input.markManifestBytes
    this.#entryCount = input.entryCount
    this.#fileCount = input.fileCount
    this.#contentBytes = input.contentBytes
    this.#tarBytes = input.tarBytes
    this.#fd = openSync(input.manifestPath, input.manifestBytes === 0 ? 'w' : 'r+', 0o600)
  }

  /** Answers `null` after a stop, which left a checkpoint. */
  run(): DigestResult | null {
    try {
      ftruncateSync(this.#fd, this.#manifestBytes)
      const { compression, createdAtMs, open } = this.#input
      if (this.#manifestBytes === 0) {
        this.#append(
          encodeManifestLine({
            line: 'start',
            version: MANIFEST_VERSION,
            compression,
            createdAtMs,
          }),
        )
      }
      if (open !== null) {
        this.#hash = hashAgain(open)
        this.#openBytes = open.bytes
      }
      this.#ring.sayReady()
      for (let slot = 0; ; slot += 1) {
        const info = this.#ring.awaitSlot(slot)
        this.#takeSlot(slot, info)
        this.#ring.letGo(slot)
        if ((info.flags & CHECKPOINT) !== 0) this.#checkpoint(info)
        if ((info.flags & LAST) !== 0)
          return (info.flags & CHECKPOINT) !== 0 ? null : this.#end(info)
      }
    } finally {
      closeSync(this.#fd)
    }
  }

  #takeSlot(slot: number, info: SlotInfo): void {
    if ((info.flags & MARK) !== 0) {
      this.#takeFrames(info.frame)
      this.#flush()
      this.#markManifestBytes = this.#manifestBytes
    }
    const data = this.#ring.data(slot)
    const notes = this.#ring.notes(slot)
    let at = 0
    while (at < info.noteBytes) {
      const lineBytes = notes.readUInt32LE(at + 9)
      const start = notes.readUInt32LE(at + 1)
      const text = at + NOTE_HEAD_BYTES
      this.#takeNote(
        notes[at] ?? NOTE.directory,
        data.subarray(start, start + notes.readUInt32LE(at + 5)),
        notes.subarray(text, text + lineBytes),
      )
      at = text + lineBytes
    }
    this.#tarBytes += info.dataBytes
    this.#takeFrames(this.#ring.framesWritten)
  }

  #takeNote(kind: number, content: Buffer, line: Buffer): void {
    if (kind === NOTE.first) {
      this.#hash = createHash('sha256')
      this.#openBytes = 0
    }
    if (kind === NOTE.first || kind === NOTE.middle) {
      this.#hash?.update(content)
      this.#openBytes += content.length
      return
    }
    this.#entryCount += 1
    this.#appendBytes(line)
    if (kind === NOTE.directory) return
    this.#fileCount += 1
    if (kind === NOTE.link) return
    this.#contentBytes += kind === NOTE.last ? this.#openBytes : content.length
    const sha256 = kind === NOTE.last ? this.#hash?.digest('hex') : hash('sha256', content, 'hex')
    this.#append(endHashedLine('', sha256 ?? ''))
    this.#hash = kind === NOTE.last ? null : this.#hash
  }

  /** Writes down the frames before `end`, as far as bytes of them have been seen. An empty one is none. */
  #takeFrames(end: number): void {
    for (; this.#frame < end; this.#frame += 1) {
      this.#ring.awaitFramesWritten(this.#frame + 1)
      const { tarOffset, archiveOffset } = this.#ring.frameOffsets(this.#frame)
      if (tarOffset >= this.#tarBytes) return
      this.#append(encodeManifestLine({ line: 'frame', tarOffset, archiveOffset }))
    }
  }

  #appendBytes(bytes: Buffer): void {
    if (bytes.length > MEMBER_BYTES) {
      this.#flush()
      this.#writeMember(bytes)
      return
    }
    this.#buffered += bytes.copy(this.#buffer, this.#buffered)
    if (this.#buffered >= MEMBER_BYTES) this.#flush()
  }

  #append(text: string): void {
    this.#buffered += this.#buffer.write(text, this.#buffered)
    if (this.#buffered >= MEMBER_BYTES) this.#flush()
  }

  #flush(): void {
    if (this.#buffered > 0) this.#writeMember(this.#buffer.subarray(0, this.#buffered))
    this.#buffered = 0
  }

  #writeMember(bytes: Buffer): void {
    const member = gzipSync(bytes, GZIP)
    writeAll(this.#fd, member, this.#manifestBytes)
    this.#manifestBytes += member.length
    freeNow(member)
  }

  #checkpoint(info: SlotInfo): void {
    this.#takeFrames(info.frame + 1)
    this.#flush()
    this.#say({
      is: 'manifest',
      id: info.checkpointId,
      manifestBytes: this.#manifestBytes,
      entryCount: this.#entryCount,
      fileCount: this.#fileCount,
      contentBytes: this.#contentBytes,
      markManifestBytes: this.#markManifestBytes,
    })
  }

  #end(info: SlotInfo): DigestResult {
    this.#takeFrames(info.frame + 1)
    const { archiveBytes, sha256 } = this.#ring.awaitWritten()
    const counts = {
      entryCount: this.#entryCount,
      fileCount: this.#fileCount,
      contentBytes: this.#contentBytes,
      tarBytes: this.#tarBytes,
    }
    this.#append(encodeManifestLine({ line: 'end', ...counts, archiveBytes, sha256 }))
    this.#flush()
    return { ...counts, manifestBytes: this.#manifestBytes, archiveBytes, sha256 }
  }
}

/** The state of a hash cannot be kept, so what it had taken is read again from the archive. */
function hashAgain(open: OpenContent): Hash {
  const made = createHash('sha256')
  const fd = openSync(open.archivePath, 'r')
  const end = open.contentOffset + open.bytes
  try {
    if (open.compression === 'none') {
      const buffer = Buffer.allocUnsafeSlow(READ_BYTES)
      for (let at = open.contentOffset; at < end; ) {
        const count = readSync(fd, buffer, 0, Math.min(buffer.length, end - at), at)
        if (count === 0) throw new RangeError('the staged archive is shorter than its checkpoint')
        made.update(buffer.subarray(0, count))
        at += count
      }
      return made
    }
    for (const [index, frame] of open.frames.entries()) {
      const next = open.frames[index + 1] ?? {
        tarOffset: open.tarBytes,
        archiveOffset: open.archiveBytes,
      }
      const packed = Buffer.allocUnsafe(next.archiveOffset - frame.archiveOffset)
      readSync(fd, packed, 0, packed.length, frame.archiveOffset)
      const tar = unpackFrame(packed, open.compression, next.tarOffset - frame.tarOffset)
      const from = Math.max(0, open.contentOffset - frame.tarOffset)
      made.update(tar.subarray(from, Math.max(from, end - frame.tarOffset)))
    }
    return made
  } finally {
    closeSync(fd)
  }
}
