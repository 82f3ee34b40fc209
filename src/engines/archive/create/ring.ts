/**
 * Shared memory between the threads that make one archive: a ring of slots of
 * tar bytes. The reader fills a slot and publishes it; the digest thread hashes
 * the files in it, and either the writer writes it or a packer compresses it.
 * A slot is free again when both have let go of it.
 *
 *     read ──> slots ──┬──> digest ──> manifest
 *                      └──> (pack ──> out boxes ──>) write ──> archive
 *
 * Every wait looks at the abort word each time it wakes, so that no thread
 * waits for one that has died.
 */
export const SLOT_BYTES = 1024 * 1024
export const NOTES_BYTES = 512 * 1024
export const SLOT_COUNT = 8
/** A frame of a compressed archive spans at most this many slots. */
export const FRAME_SLOTS = 4
export const PACKERS_MAX = 4
/** What a frame can grow to when it cannot be compressed at all. */
export const BOX_BYTES = FRAME_SLOTS * SLOT_BYTES + 256 * 1024

/** What a slot says besides its bytes. */
export const CHECKPOINT = 1
/** The last slot: the archive ends with it, or the run was stopped. */
export const LAST = 2
/** The header of a big file stands at the front of the slot: the archive can be cut there. */
export const MARK = 4

const FRAME_TABLE = 64
const WORD = {
  produced: 0,
  control: 1,
  checkpointWanted: 2,
  ready: 3,
  framesStarted: 4,
  framesWritten: 5,
  written: 6,
  ended: 7,
  itemLength: 8,
  itemWanted: 9,
  holds: 16,
  meta: 16 + SLOT_COUNT,
  frameFirst: 16 + SLOT_COUNT * 6,
  boxFull: 16 + SLOT_COUNT * 6 + FRAME_TABLE,
  boxMeta: 16 + SLOT_COUNT * 6 + FRAME_TABLE + PACKERS_MAX,
} as const
const META_WORDS = 5
const BOX_WORDS = 3
const WORDS = WORD.boxMeta + PACKERS_MAX * BOX_WORDS
const NUMBERS_AT = Math.ceil((WORDS * 4) / 8) * 8
const NUMBER = { bytesDone: 0, itemsDone: 1, archiveBytes: 2, frames: 3 } as const
const NUMBERS = NUMBER.frames + FRAME_TABLE * 2
const DIGEST_AT = NUMBERS_AT + NUMBERS * 8
const ITEM_AT = DIGEST_AT + 32
const ITEM_BYTES = 2048
const CONTROL_BYTES = ITEM_AT + ITEM_BYTES
const WAIT_MS = 250

export const RUNNING = 0
/** Stop soon, and leave a checkpoint. */
export const STOPPING = 1
/** Stop at once. */
export const ABORTED = 2

export interface RingMemory {
  readonly control: SharedArrayBuffer
  readonly slots: SharedArrayBuffer
  readonly boxes: SharedArrayBuffer | null
  readonly packers: number
}

export function createRing(packers: number): RingMemory {
  return {
    ...createControl(),
    slots: new SharedArrayBuffer(SLOT_COUNT * (SLOT_BYTES + NOTES_BYTES)),
    boxes: packers === 0 ? null : new SharedArrayBuffer(packers * BOX_BYTES),
    packers,
  }
}

/** A ring without slots, to watch and to stop a thread with. */
export function createControl(): RingMemory {
  return {
    control: new SharedArrayBuffer(CONTROL_BYTES),
    slots: new SharedArrayBuffer(0),
    boxes: null,
    packers: 0,
  }
}

/** Thrown in a thread of a run that another thread, or the engine, has ended. */
export class RunAborted extends Error {
  override readonly name = 'RunAborted'
}

export interface SlotInfo {
  readonly dataBytes: number
  readonly noteBytes: number
  readonly flags: number
  readonly checkpointId: number
  readonly frame: number
}

export class Ring {
  readonly packers: number
  readonly #words: Int32Array
  readonly #numbers: Float64Array
  readonly #control: SharedArrayBuffer
  readonly #slots: SharedArrayBuffer
  readonly #boxes: SharedArrayBuffer | null

  constructor(memory: RingMemory) {
    this.packers = memory.packers
    this.#control = memory.control
    this.#slots = memory.slots
    this.#boxes = memory.boxes
    this.#words = new Int32Array(memory.control, 0, WORDS)
    this.#numbers = new Float64Array(memory.control, NUMBERS_AT, NUMBERS)
  }

  // The engine's side.

  get state(): number {
    return Atomics.load(this.#words, WORD.control)
  }

  /** A stop never becomes less: an abort stays one. */
  stop(state: typeof STOPPING | typeof ABORTED): void {
    if (this.state < state) Atomics.store(this.#words, WORD.control, state)
    if (state === ABORTED) for (let at = 0; at < WORDS; at += 1) Atomics.notify(this.#words, at)
  }

  wantCheckpoint(id: number): void {
    Atomics.store(this.#words, WORD.checkpointWanted, id)
  }

  get checkpointWanted(): number {
    return Atomics.load(this.#words, WORD.checkpointWanted)
  }

  get bytesDone(): number {
    return this.#numbers[NUMBER.bytesDone] ?? 0
  }

  get itemsDone(): number {
    return this.#numbers[NUMBER.itemsDone] ?? 0
  }

  setDone(bytes: number, items: number): void {
    this.#numbers[NUMBER.bytesDone] = bytes
    this.#numbers[NUMBER.itemsDone] = items
  }

  setItem(path: string): void {
    Atomics.store(this.#words, WORD.itemLength, 0)
    const length = Buffer.from(this.#control, ITEM_AT, ITEM_BYTES).write(path, 'latin1')
    Atomics.store(this.#words, WORD.itemLength, length)
  }

  /** Shows a path where the last one that was offered has been looked at: nobody sees more of them. */
  offerItem(path: string): void {
    if (Atomics.load(this.#words, WORD.itemWanted) === 0) return
    Atomics.store(this.#words, WORD.itemWanted, 0)
    this.setItem(path)
  }

  /** `null` while there is none, or while it is being changed. */
  get item(): string | null {
    const length = Atomics.load(this.#words, WORD.itemLength)
    Atomics.store(this.#words, WORD.itemWanted, 1)
    if (length === 0) return null
    const bytes = Buffer.from(Buffer.from(this.#control, ITEM_AT, length))
    return Atomics.load(this.#words, WORD.itemLength) === length ? bytes.toString('utf8') : null
  }

  // What all threads use.

  throwIfAborted(): void {
    if (this.state === ABORTED) throw new RunAborted('the run was ended by another thread')
  }

  /** Waits while `word` holds what `isEarly` refuses; answers what it holds then. */
  #await(word: number, isEarly: (value: number) => boolean): number {
    for (;;) {
      const value = Atomics.load(this.#words, word)
      if (!isEarly(value)) return value
      this.throwIfAborted()
      Atomics.wait(this.#words, word, value, WAIT_MS)
    }
  }

  #set(word: number, value: number): void {
    Atomics.store(this.#words, word, value)
    Atomics.notify(this.#words, word)
  }

  /** The threads that prepare something before the reader may begin say so here. */
  sayReady(): void {
    Atomics.add(this.#words, WORD.ready, 1)
    Atomics.notify(this.#words, WORD.ready)
  }

  awaitReady(count: number): void {
    this.#await(WORD.ready, (value) => value < count)
  }

  data(slot: number): Buffer {
    return Buffer.from(this.#slots, (slot % SLOT_COUNT) * SLOT_BYTES, SLOT_BYTES)
  }

  notes(slot: number): Buffer {
    const base = SLOT_COUNT * SLOT_BYTES
    return Buffer.from(this.#slots, base + (slot % SLOT_COUNT) * NOTES_BYTES, NOTES_BYTES)
  }

  // The reader's side.

  awaitFree(slot: number): void {
    this.#await(WORD.holds + (slot % SLOT_COUNT), (holds) => holds > 0)
  }

  /** Says that the next slot begins a new frame. */
  startFrame(frame: number, slot: number, tarOffset: number): void {
    // The table is reused: nobody may still need the line that is written over.
    this.#await(WORD.framesWritten, (written) => frame - written >= FRAME_TABLE)
    Atomics.store(this.#words, WORD.frameFirst + (frame % FRAME_TABLE), slot)
    this.#numbers[NUMBER.frames + (frame % FRAME_TABLE) * 2] = tarOffset
    this.#set(WORD.framesStarted, frame + 1)
  }

  publish(slot: number, info: SlotInfo): void {
    const at = WORD.meta + (slot % SLOT_COUNT) * META_WORDS
    this.#words[at] = info.dataBytes
    this.#words[at + 1] = info.noteBytes
    this.#words[at + 2] = info.flags
    this.#words[at + 3] = info.checkpointId
    this.#words[at + 4] = info.frame
    Atomics.store(this.#words, WORD.holds + (slot % SLOT_COUNT), 2)
    if ((info.flags & LAST) !== 0) Atomics.store(this.#words, WORD.ended, 1)
    this.#set(WORD.produced, slot + 1)
    if ((info.flags & LAST) !== 0) Atomics.notify(this.#words, WORD.framesStarted)
  }

  // The side of those who take slots.

  awaitSlot(slot: number): SlotInfo {
    this.#await(WORD.produced, (produced) => produced <= slot)
    const at = WORD.meta + (slot % SLOT_COUNT) * META_WORDS
    const word = (index: number): number => this.#words[at + index] ?? 0
    return {
      dataBytes: word(0),
      noteBytes: word(1),
      flags: word(2),
      checkpointId: word(3),
      frame: word(4),
    }
  }

  letGo(slot: number): void {
    const word = WORD.holds + (slot % SLOT_COUNT)
    if (Atomics.sub(this.#words, word, 1) === 1) Atomics.notify(this.#words, word)
  }

  // The side of those who take frames.

  /** The first slot of a frame, or `null` where the archive ends before it. */
  awaitFrame(frame: number): number | null {
    for (;;) {
      const started = Atomics.load(this.#words, WORD.framesStarted)
      if (started > frame) {
        return Atomics.load(this.#words, WORD.frameFirst + (frame % FRAME_TABLE))
      }
      if (Atomics.load(this.#words, WORD.ended) === 1) return null
      this.throwIfAborted()
      Atomics.wait(this.#words, WORD.framesStarted, started, WAIT_MS)
    }
  }

  /** Whether a slot still belongs to `frame`: waits until that can be known. */
  isInFrame(slot: number, frame: number): boolean {
    this.#await(WORD.produced, (produced) => produced <= slot)
    if (Atomics.load(this.#words, WORD.framesStarted) <= frame + 1) return true
    return Atomics.load(this.#words, WORD.frameFirst + ((frame + 1) % FRAME_TABLE)) > slot
  }

  // Packed frames, one box for each packer.

  box(packer: number): Buffer {
    if (this.#boxes === null) throw new RangeError('an uncompressed archive has no boxes')
    return Buffer.from(this.#boxes, packer * BOX_BYTES, BOX_BYTES)
  }

  awaitBoxEmpty(packer: number): void {
    this.#await(WORD.boxFull + packer, (full) => full !== 0)
  }

  fillBox(packer: number, info: Pick<SlotInfo, 'dataBytes' | 'flags' | 'checkpointId'>): void {
    const at = WORD.boxMeta + packer * BOX_WORDS
    this.#words[at] = info.dataBytes
    this.#words[at + 1] = info.flags
    this.#words[at + 2] = info.checkpointId
    this.#set(WORD.boxFull + packer, 1)
  }

  awaitBox(packer: number): Pick<SlotInfo, 'dataBytes' | 'flags' | 'checkpointId'> {
    this.#await(WORD.boxFull + packer, (full) => full === 0)
    const at = WORD.boxMeta + packer * BOX_WORDS
    return {
      dataBytes: this.#words[at] ?? 0,
      flags: this.#words[at + 1] ?? 0,
      checkpointId: this.#words[at + 2] ?? 0,
    }
  }

  emptyBox(packer: number): void {
    this.#set(WORD.boxFull + packer, 0)
  }

  // What the writer tells the digest thread.

  frameWritten(frame: number, archiveOffset: number): void {
    this.#numbers[NUMBER.frames + (frame % FRAME_TABLE) * 2 + 1] = archiveOffset
    this.#set(WORD.framesWritten, frame + 1)
  }

  get framesWritten(): number {
    return Atomics.load(this.#words, WORD.framesWritten)
  }

  awaitFramesWritten(count: number): void {
    this.#await(WORD.framesWritten, (written) => written < count)
  }

  frameOffsets(frame: number): { readonly tarOffset: number; readonly archiveOffset: number } {
    const at = NUMBER.frames + (frame % FRAME_TABLE) * 2
    return { tarOffset: this.#numbers[at] ?? 0, archiveOffset: this.#numbers[at + 1] ?? 0 }
  }

  sayWritten(archiveBytes: number, digest: Uint8Array): void {
    this.#numbers[NUMBER.archiveBytes] = archiveBytes
    new Uint8Array(this.#control, DIGEST_AT, 32).set(digest)
    this.#set(WORD.written, 1)
  }

  awaitWritten(): { readonly archiveBytes: number; readonly sha256: string } {
    this.#await(WORD.written, (written) => written === 0)
    const digest = Buffer.from(Buffer.from(this.#control, DIGEST_AT, 32))
    return {
      archiveBytes: this.#numbers[NUMBER.archiveBytes] ?? 0,
      sha256: digest.toString('hex'),
    }
  }
}
