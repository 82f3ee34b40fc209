import { CHECKPOINT, FRAME_SLOTS, LAST, MARK, NOTES_BYTES, type Ring, SLOT_BYTES } from './ring.ts'

/** What the digest thread is to do with a note: the manifest line of one entry. */
export const NOTE = {
  /** Whole lines: nothing to hash. */
  directory: 0,
  link: 5,
  /** A line that lacks its hash, of a file whose whole content stands in this slot. */
  whole: 1,
  /** Pieces of a file that spans slots; the line comes with the last. */
  first: 2,
  middle: 3,
  last: 4,
} as const

export const NOTE_HEAD_BYTES = 13

/** Fills slots of the ring with tar bytes and notes, in order. */
export class SlotWriter {
  readonly #ring: Ring
  readonly #framed: boolean
  #slot = 0
  #data: Buffer
  #notes: Buffer
  #used = 0
  #noted = 0
  #flags = 0
  #frame = -1
  #frameSlots = FRAME_SLOTS
  /** Bytes of the tar before the present slot. */
  #before: number

  constructor(ring: Ring, tarBytes: number) {
    this.#ring = ring
    this.#framed = ring.packers > 0
    this.#before = tarBytes
    this.#data = ring.data(0)
    this.#notes = ring.notes(0)
    this.#begin()
  }

  /** Where the next byte stands in the tar. */
  get tarOffset(): number {
    return this.#before + this.#used
  }

  get room(): number {
    return SLOT_BYTES - this.#used
  }

  /** Where the next byte goes: fill it from the front, then `advance`. */
  get data(): Buffer {
    return this.#data
  }

  get position(): number {
    return this.#used
  }

  advance(bytes: number): void {
    this.#used += bytes
  }

  /** Makes sure that `bytes` (at most a slot) and a note of `noteBytes` fit into the present slot. */
  reserve(bytes: number, noteBytes: number): void {
    const noteRoom = NOTES_BYTES - this.#noted - NOTE_HEAD_BYTES
    if (bytes > this.room || noteBytes > noteRoom) this.flush()
  }

  /** Takes bytes of any length. */
  write(bytes: Buffer): void {
    let at = 0
    while (at < bytes.length) {
      if (this.room === 0) this.flush()
      const count = bytes.copy(this.#data, this.#used, at)
      this.#used += count
      at += count
    }
  }

  zeros(bytes: number): void {
    let left = bytes
    while (left > 0) {
      if (this.room === 0) this.flush()
      const count = Math.min(left, this.room)
      this.#data.fill(0, this.#used, this.#used + count)
      this.#used += count
      left -= count
    }
  }

  /** `line` is UTF-8. It must have been reserved, together with its content. */
  note(kind: number, start: number, bytes: number, line: string): void {
    const at = this.#noted
    const text = at + NOTE_HEAD_BYTES
    const lineBytes = this.#notes.write(line, text)
    this.#notes[at] = kind
    this.#notes.writeUInt32LE(start, at + 1)
    this.#notes.writeUInt32LE(bytes, at + 5)
    this.#notes.writeUInt32LE(lineBytes, at + 9)
    this.#noted = text + lineBytes
  }

  /** Puts the next byte at the front of a slot, and of a frame: the archive can be cut there. */
  mark(): void {
    if (this.#used > 0 || this.#noted > 0) this.flush()
    if (this.#framed && this.#frameSlots > 0) this.#startFrame()
    this.#flags |= MARK
  }

  checkpoint(id: number, last: boolean): void {
    this.#publish(CHECKPOINT | (last ? LAST : 0), id)
    if (last) return
    this.#frameSlots = FRAME_SLOTS
    this.#begin()
  }

  end(): void {
    this.#publish(LAST, 0)
  }

  flush(): void {
    this.#publish(0, 0)
    this.#begin()
  }

  #publish(flags: number, checkpointId: number): void {
    if (this.#framed && this.#frameSlots >= FRAME_SLOTS) this.#startFrame()
    this.#ring.publish(this.#slot, {
      dataBytes: this.#used,
      noteBytes: this.#noted,
      flags: this.#flags | flags,
      checkpointId,
      frame: this.#frame,
    })
    this.#before += this.#used
    this.#slot += 1
    this.#frameSlots += 1
    this.#used = 0
    this.#noted = 0
    this.#flags = 0
  }

  #begin(): void {
    this.#ring.awaitFree(this.#slot)
    this.#data = this.#ring.data(this.#slot)
    this.#notes = this.#ring.notes(this.#slot)
  }

  #startFrame(): void {
    this.#frame += 1
    this.#frameSlots = 0
    this.#ring.startFrame(this.#frame, this.#slot, this.#before)
  }
}
