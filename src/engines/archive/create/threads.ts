import { Worker } from 'node:worker_threads'
import { createRing, type RingMemory } from './ring.ts'
import type { StageFailure, StageInput, StageName, StageResult } from './thread.ts'

/** Threads kept for the next archive: a new one costs more than a small archive. */
const IDLE_MAX = 6
const RINGS_MAX = 2
/** The stages make much garbage and keep little: a large nursery would only be memory touched for nothing. */
const LIMITS = { maxYoungGenerationSizeMb: 4 } as const

/** What went wrong in a stage, as it was there. */
export class StageError extends Error {
  override readonly name = 'StageError'
  readonly stage: StageName
  readonly failure: StageFailure

  constructor(stage: StageName, failure: StageFailure) {
    super(failure.message)
    this.stage = stage
    this.failure = failure
    this.stack = failure.stack
  }
}

type Message =
  | { readonly is: 'news'; readonly news: unknown }
  | { readonly is: 'done'; readonly result: unknown }
  | { readonly is: 'failed'; readonly failure: StageFailure }

/** Runs stages in threads of their own and keeps the threads. An idle thread keeps no process alive. */
export class Threads {
  readonly #idle: Worker[] = []
  readonly #rings: RingMemory[] = []

  /** Memory for one archive. Give it back when all its stages have settled: freed by itself it would lie for long. */
  takeRing(packers: number): RingMemory {
    const at = this.#rings.findIndex((ring) => ring.packers === packers)
    const [ring] = at < 0 ? [] : this.#rings.splice(at, 1)
    if (ring === undefined) return createRing(packers)
    new Uint8Array(ring.control).fill(0)
    return ring
  }

  giveRing(ring: RingMemory): void {
    if (this.#rings.length < RINGS_MAX) this.#rings.push(ring)
  }

  run<Name extends StageName>(
    stage: Name,
    input: StageInput<Name>,
    onNews: (news: never) => void = () => undefined,
  ): Promise<StageResult<Name>> {
    const thread = this.#idle.pop() ?? this.#start()
    const { promise, resolve, reject } = Promise.withResolvers<StageResult<Name>>()
    const settle = (keep: boolean): void => {
      thread.off('message', onMessage)
      thread.off('error', onError)
      thread.off('exit', onExit)
      if (keep && this.#idle.length < IDLE_MAX) {
        thread.unref()
        this.#idle.push(thread)
      } else void thread.terminate()
    }
    const onError = (error: unknown): void => {
      settle(false)
      reject(error)
    }
    const onExit = (code: number): void => onError(new Error(`a thread ended with ${code}`))
    const onMessage = (message: Message): void => {
      if (message.is === 'news') {
        onNews(message.news as never)
        return
      }
      settle(true)
      if (message.is === 'done') resolve(message.result as StageResult<Name>)
      else reject(new StageError(stage, message.failure))
    }
    thread.ref()
    thread.on('message', onMessage)
    thread.on('error', onError)
    thread.on('exit', onExit)
    thread.postMessage({ stage, input })
    return promise
  }

  /** Starts threads before they are needed. */
  warm(count: number): void {
    while (this.#idle.length < Math.min(count, IDLE_MAX)) {
      const thread = this.#start()
      thread.unref()
      this.#idle.push(thread)
    }
  }

  #start(): Worker {
    const thread = new Worker(new URL('./thread.ts', import.meta.url), { resourceLimits: LIMITS })
    // One that dies while it is idle is not used again.
    thread.once('exit', () => {
      const at = this.#idle.indexOf(thread)
      if (at >= 0) this.#idle.splice(at, 1)
    })
    return thread
  }

  async close(): Promise<void> {
    await Promise.all(this.#idle.splice(0).map((thread) => thread.terminate()))
  }
}
