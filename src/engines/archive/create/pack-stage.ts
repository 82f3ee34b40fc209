import { constants, gzipSync, zstdCompressSync } from 'node:zlib'
import { freeNow } from '../format/free-now.ts'
import type { Compression } from '../format/manifest.ts'
import { BOX_BYTES, FRAME_SLOTS, LAST, Ring, type RingMemory, SLOT_BYTES } from './ring.ts'

export const LEVELS = ['best_speed', 'default', 'best_compression'] as const

export type Level = (typeof LEVELS)[number]

export interface PackStageInput {
  readonly ring: RingMemory
  readonly compression: Exclude<Compression, 'none'>
  readonly level: Level
  /** Which of the packers this one is: it takes every frame whose number says so. */
  readonly packer: number
}

const GZIP_LEVEL = { best_speed: 1, default: 6, best_compression: 9 } as const
const ZSTD_LEVEL = { best_speed: 1, default: 3, best_compression: 12 } as const

/** Compresses frames: each is a gzip member or zstd frame of its own. */
export class PackStage {
  readonly #input: PackStageInput
  readonly #ring: Ring
  readonly #frame = Buffer.allocUnsafeSlow(FRAME_SLOTS * SLOT_BYTES)

  constructor(input: PackStageInput) {
    this.#input = input
    this.#ring = new Ring(input.ring)
  }

  run(): void {
    const { packer } = this.#input
    for (let frame = packer; ; frame += this.#ring.packers) {
      const first = this.#ring.awaitFrame(frame)
      if (first === null) return
      const { bytes, flags, checkpointId } = this.#gather(frame, first)
      const packed = bytes === 0 ? Buffer.alloc(0) : this.#pack(this.#frame.subarray(0, bytes))
      this.#ring.awaitBoxEmpty(packer)
      const dataBytes = packed.copy(this.#ring.box(packer))
      freeNow(packed)
      this.#ring.fillBox(packer, { dataBytes, flags, checkpointId })
      if ((flags & LAST) !== 0) return
    }
  }

  /** Copies the slots of a frame, so that they are free again while it is compressed. */
  #gather(frame: number, first: number): { bytes: number; flags: number; checkpointId: number } {
    let bytes = 0
    let flags = 0
    let checkpointId = 0
    for (let slot = first; this.#ring.isInFrame(slot, frame); slot += 1) {
      const info = this.#ring.awaitSlot(slot)
      bytes += this.#ring.data(slot).copy(this.#frame, bytes, 0, info.dataBytes)
      flags |= info.flags
      if (info.checkpointId !== 0) checkpointId = info.checkpointId
      this.#ring.letGo(slot)
      if ((info.flags & LAST) !== 0) break
    }
    return { bytes, flags, checkpointId }
  }

  /** `ZSTD_c_nbWorkers` is never set: Node cuts large streams with it (nodejs/node#59899). */
  #pack(bytes: Buffer): Buffer {
    const { compression, level } = this.#input
    if (compression === 'gzip') {
      return gzipSync(bytes, { level: GZIP_LEVEL[level], chunkSize: BOX_BYTES })
    }
    return zstdCompressSync(bytes, {
      chunkSize: BOX_BYTES,
      pledgedSrcSize: bytes.length,
      params: {
        [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL[level],
        [constants.ZSTD_c_checksumFlag]: 1,
      },
    })
  }
}
