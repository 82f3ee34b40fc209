import { Worker } from 'node:worker_threads'
import { endThread, endWhenDeaf, STOP_GRACE_MS } from '../end-thread.ts'
import { threadEnv } from '../thread-env.ts'
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

export interface ThreadsOptions {
  /** What a thread runs: for tests of threads that do not stop. */
  readonly program?: URL
  readonly stopGraceMs?: number
}

/** Runs stages in threads of their own and keeps the threads. An idle thread keeps no process alive. */
export class Threads {
  readonly #program: URL
  readonly #stopGraceMs: number
  readonly #idle: Worker[] = []
  readonly #busy = new Set<Worker>()
  readonly #rings: RingMemory[] = []

  constructor(options: ThreadsOptions = {}) {
    this.#program = options.program ?? new URL('./thread.ts', import.meta.url)
    this.#stopGraceMs = options.stopGraceMs ?? STOP_GRACE_MS
  }

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

  /** A thread that still works a while after `stop` has aborted, is ended: then this rejects with its reason. */
  run<Name extends StageName>(
    stage: Name,
    input: StageInput<Name>,
    stop: AbortSignal,
    onNews: (news: never) => void = () => undefined,
  ): Promise<StageResult<Name>> {
    const thread = this.#idle.pop() ?? this.#start()
    const { promise, resolve, reject } = Promise.withResolvers<StageResult<Name>>()
    this.#busy.add(thread)
    const settle = (keep: boolean): void => {
      watch.clear()
      this.#busy.delete(thread)
      thread.off('message', onMessage)
      thread.off('error', onError)
      thread.off('exit', onExit)
      if (keep && this.#idle.length < IDLE_MAX) {
        thread.unref()
        this.#idle.push(thread)
      } else void endThread(thread)
    }
    const onError = (error: unknown): void => {
      settle(false)
      reject(error)
    }
    const onExit = (code: number): void =>
      onError(stop.aborted ? stop.reason : new Error(`a thread ended with ${code}`))
    const watch = endWhenDeaf(thread, stop, this.#stopGraceMs, onError)
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
    const thread = new Worker(this.#program, { env: threadEnv(), resourceLimits: LIMITS })
    // One that dies while it is idle is not used again, and takes nobody along.
    const forget = (): void => {
      const at = this.#idle.indexOf(thread)
      if (at >= 0) this.#idle.splice(at, 1)
    }
    thread.on('error', forget)
    thread.once('exit', forget)
    return thread
  }

  /** Ends all threads, those at work too. */
  async close(): Promise<void> {
    await Promise.all([...this.#idle.splice(0), ...this.#busy].map(endThread))
  }
}
