/**
 * What a worker thread says of its work while it works, through shared memory:
 * no message per file, and nothing that could hold the work up. One thread
 * writes; any thread reads, and asks it to stop.
 */
const STOP = 0
const ITEM_LENGTH = 1
const FLAGS = 2
const COUNTERS = ['bytesDone', 'itemsDone', 'safeOffset', 'safeItems', 'safeBytes'] as const
const ITEM_BYTES = 2048
const COUNTERS_AT = FLAGS * 4
const ITEM_AT = COUNTERS_AT + COUNTERS.length * 8

type Counter = (typeof COUNTERS)[number]

/** Thrown in a worker that was asked to stop; the asker knows why. */
export class WorkStopped extends Error {
  override readonly name = 'WorkStopped'
}

export class SharedProgress {
  readonly memory: SharedArrayBuffer
  readonly #flags: Int32Array
  readonly #counters: Float64Array
  readonly #item: Uint8Array
  readonly #encoder = new TextEncoder()

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(ITEM_AT + ITEM_BYTES)) {
    this.memory = memory
    this.#flags = new Int32Array(memory, 0, FLAGS)
    this.#counters = new Float64Array(memory, COUNTERS_AT, COUNTERS.length)
    this.#item = new Uint8Array(memory, ITEM_AT, ITEM_BYTES)
  }

  get(counter: Counter): number {
    return this.#counters[COUNTERS.indexOf(counter)] ?? 0
  }

  set(counter: Counter, value: number): void {
    this.#counters[COUNTERS.indexOf(counter)] = value
  }

  add(counter: Counter, value: number): void {
    this.set(counter, this.get(counter) + value)
  }

  set item(text: string) {
    Atomics.store(this.#flags, ITEM_LENGTH, 0)
    const { written } = this.#encoder.encodeInto(text, this.#item)
    Atomics.store(this.#flags, ITEM_LENGTH, written)
  }

  /** `null` while there is none, or while it is being changed. */
  get item(): string | null {
    const length = Atomics.load(this.#flags, ITEM_LENGTH)
    if (length === 0) return null
    const bytes = Buffer.from(this.#item.subarray(0, length))
    return Atomics.load(this.#flags, ITEM_LENGTH) === length ? bytes.toString('utf8') : null
  }

  stop(): void {
    Atomics.store(this.#flags, STOP, 1)
  }

  throwIfStopped(): void {
    if (Atomics.load(this.#flags, STOP) === 1) throw new WorkStopped('the work was stopped')
  }
}
