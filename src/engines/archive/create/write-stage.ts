import { createHash, type Hash } from 'node:crypto'
import { closeSync, ftruncateSync, openSync, readSync } from 'node:fs'
import { CHECKPOINT, LAST, MARK, Ring, type RingMemory } from './ring.ts'
import { writeAll } from './write-all.ts'

export interface WriteStageInput {
  readonly ring: RingMemory
  readonly archivePath: string
  /** What is kept of an archive that was begun: 0 for a new one. */
  readonly archiveBytes: number
  /** What the checkpoint promises of the file, which may be more than is kept. */
  readonly promised: { readonly archiveBytes: number; readonly sha256: string } | null
  /** Where the archive can be cut while the file is open that it was begun with. */
  readonly markArchiveBytes: number
  readonly withSha1: boolean
}

export interface WriteResult {
  /** Of the archive in hex; `null` where nobody asked for it. */
  readonly sha1: string | null
}

export interface ArchiveNews {
  readonly is: 'archive'
  readonly id: number
  readonly archiveBytes: number
  readonly sha256: string
  /** Where the archive can be cut at its last mark. */
  readonly markArchiveBytes: number
}

/** What an earlier run wrote was found intact. */
export interface KeptNews {
  readonly is: 'kept'
}

/** The staged archive is not what its checkpoint says: it has to be made anew. */
export class StagedDamaged extends Error {
  override readonly name = 'StagedDamaged'
}

const READ_BYTES = 1024 * 1024

/** Writes and hashes the archive: slots of plain tar, or packed frames in their order. */
export class WriteStage {
  readonly #input: WriteStageInput
  readonly #say: (news: ArchiveNews | KeptNews) => void
  readonly #ring: Ring
  readonly #fd: number
  #hash: Hash = createHash('sha256')
  readonly #sha1: Hash | null
  #archiveBytes: number
  #markArchiveBytes: number

  constructor(input: WriteStageInput, say: (news: ArchiveNews | KeptNews) => void) {
    this.#input = input
    this.#say = say
    this.#ring = new Ring(input.ring)
    this.#sha1 = input.withSha1 ? createHash('sha1') : null
    this.#archiveBytes = input.archiveBytes
    this.#markArchiveBytes = input.markArchiveBytes
    this.#fd = openSync(input.archivePath, input.promised === null ? 'w+' : 'r+', 0o600)
  }

  /** Answers `null` after a stop, which left a checkpoint. */
  run(): WriteResult | null {
    try {
      this.#takePrefix()
      ftruncateSync(this.#fd, this.#archiveBytes)
      this.#ring.sayReady()
      const whole = this.#ring.packers === 0 ? this.#writeSlots() : this.#writeFrames()
      if (!whole) return null
      this.#ring.sayWritten(this.#archiveBytes, this.#hash.digest())
      return { sha1: this.#sha1?.digest('hex') ?? null }
    } finally {
      closeSync(this.#fd)
    }
  }

  /** Reads what is there again: the hash needs it, and it shows that it is intact. */
  #takePrefix(): void {
    const { promised, archiveBytes } = this.#input
    if (promised === null) return
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES)
    const made = createHash('sha256')
    let kept: Hash | null = null
    for (let at = 0; ; ) {
      if (at === archiveBytes) kept = made.copy()
      const end = at < archiveBytes ? archiveBytes : promised.archiveBytes
      if (at >= promised.archiveBytes) break
      const count = readSync(this.#fd, buffer, 0, Math.min(buffer.length, end - at), at)
      if (count === 0) break
      made.update(buffer.subarray(0, count))
      // What is cut off again is read to its end, and belongs to no archive.
      if (at < archiveBytes) this.#sha1?.update(buffer.subarray(0, count))
      at += count
      this.#ring.throwIfAborted()
    }
    if (kept === null || made.digest('hex') !== promised.sha256) {
      throw new StagedDamaged('the staged archive is not what its checkpoint says')
    }
    this.#hash = kept
    this.#say({ is: 'kept' })
  }

  #writeSlots(): boolean {
    for (let slot = 0; ; slot += 1) {
      const info = this.#ring.awaitSlot(slot)
      if ((info.flags & MARK) !== 0) this.#markArchiveBytes = this.#archiveBytes
      this.#write(this.#ring.data(slot).subarray(0, info.dataBytes))
      this.#ring.letGo(slot)
      if ((info.flags & CHECKPOINT) !== 0) this.#checkpoint(info.checkpointId)
      if ((info.flags & LAST) !== 0) return (info.flags & CHECKPOINT) === 0
    }
  }

  #writeFrames(): boolean {
    for (let frame = 0; ; frame += 1) {
      const packer = frame % this.#ring.packers
      const info = this.#ring.awaitBox(packer)
      this.#ring.frameWritten(frame, this.#archiveBytes)
      if ((info.flags & MARK) !== 0) this.#markArchiveBytes = this.#archiveBytes
      this.#write(this.#ring.box(packer).subarray(0, info.dataBytes))
      this.#ring.emptyBox(packer)
      if ((info.flags & CHECKPOINT) !== 0) this.#checkpoint(info.checkpointId)
      if ((info.flags & LAST) !== 0) return (info.flags & CHECKPOINT) === 0
    }
  }

  #write(bytes: Buffer): void {
    writeAll(this.#fd, bytes, this.#archiveBytes)
    this.#hash.update(bytes)
    this.#sha1?.update(bytes)
    this.#archiveBytes += bytes.length
  }

  #checkpoint(id: number): void {
    this.#say({
      is: 'archive',
      id,
      archiveBytes: this.#archiveBytes,
      sha256: this.#hash.copy().digest('hex'),
      markArchiveBytes: this.#markArchiveBytes,
    })
  }
}
