import { Worker } from 'node:worker_threads'
import { AppError, type ErrorCode, type ErrorDetails } from '../../../core/errors.ts'
import { endThread, endWhenDeaf, STOP_GRACE_MS } from '../end-thread.ts'
import { threadEnv } from '../thread-env.ts'
import type { HashJob, HashResult } from './archive-hash.ts'
import type { IndexJob, IndexResult } from './browse-build.ts'
import type { CompareJob, CompareState } from './compare-scan.ts'
import type { ExtractJob, ExtractResult } from './extract.ts'
import type { MergeJob, MergeResult, RemoveJob } from './merge.ts'
import type { ProveJob, ProveResult } from './prove.ts'
import type { ArchivePlan, PlanJob } from './restore-plan.ts'
import { SharedProgress, WorkStopped } from './shared-progress.ts'
import type { VerifyJob, VerifyScan } from './verify-scan.ts'

export type ReadJob =
  | HashJob
  | PlanJob
  | ProveJob
  | ExtractJob
  | MergeJob
  | RemoveJob
  | VerifyJob
  | CompareJob
  | IndexJob

interface Results {
  readonly hash: HashResult
  readonly plan: ArchivePlan
  readonly prove: ProveResult
  readonly extract: ExtractResult
  readonly merge: MergeResult
  readonly remove: null
  readonly verify: VerifyScan
  readonly compare: CompareState
  readonly index: IndexResult
}

export interface ReadRequest {
  readonly job: ReadJob
  readonly memory: SharedArrayBuffer
}

export type ReadAnswer =
  | { readonly kind: 'done'; readonly result: unknown }
  | { readonly kind: 'stopped' }
  | {
      readonly kind: 'refused'
      readonly code: ErrorCode
      readonly message: string
      readonly details: ErrorDetails
      readonly cause: string
    }
  | {
      readonly kind: 'broken'
      readonly message: string
      readonly code: string | null
      readonly stack: string | null
    }

/** Threads that wait for work are kept, up to this many; they keep no process alive. */
const IDLE_MAX = 2

export interface ReadPoolOptions {
  /** What a thread runs: for tests of threads that do not stop. */
  readonly program?: URL
  readonly stopGraceMs?: number
}

/** Threads that read archives by synchronous calls, used again from job to job. */
export class ReadPool {
  readonly #program: URL
  readonly #stopGraceMs: number
  readonly #idle: Worker[] = []
  readonly #busy = new Set<Worker>()
  #closed = false

  constructor(options: ReadPoolOptions = {}) {
    this.#program = options.program ?? new URL('./read-worker.ts', import.meta.url)
    this.#stopGraceMs = options.stopGraceMs ?? STOP_GRACE_MS
  }

  /**
   * Runs one job in a thread of its own. After `signal` aborts it settles once
   * the thread has stopped, rejecting with `signal.reason`: nothing is still
   * written to when this has settled. A thread that does not stop is ended.
   */
  async run<Kind extends ReadJob['kind']>(
    job: Extract<ReadJob, { kind: Kind }>,
    signal: AbortSignal,
    progress: SharedProgress = new SharedProgress(),
  ): Promise<Results[Kind]> {
    signal.throwIfAborted()
    const worker = this.#idle.pop() ?? this.#start()
    worker.ref()
    this.#busy.add(worker)
    const stop = () => progress.stop()
    signal.addEventListener('abort', stop, { once: true })
    let answer: ReadAnswer
    try {
      answer = await this.#ask(worker, { job, memory: progress.memory }, signal)
    } finally {
      signal.removeEventListener('abort', stop)
      this.#busy.delete(worker)
    }
    this.#giveBack(worker)
    if (answer.kind === 'stopped') {
      signal.throwIfAborted()
      throw new WorkStopped('the work was stopped')
    }
    if (answer.kind !== 'done') throw toError(answer)
    // The thread answers what `work` of read-worker.ts made of this kind of job.
    return answer.result as Results[Kind]
  }

  /** Ends all threads, those at work too. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#idle.splice(0), ...this.#busy].map(endThread))
  }

  #start(): Worker {
    const worker = new Worker(this.#program, {
      // Flags of the process, such as --test, are none of the thread's.
      execArgv: [],
      env: threadEnv(),
      resourceLimits: { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 16 },
    })
    // One that dies while it is idle is not used again, and takes nobody along.
    const forget = () => {
      const at = this.#idle.indexOf(worker)
      if (at >= 0) this.#idle.splice(at, 1)
    }
    worker.on('error', forget)
    worker.once('exit', forget)
    return worker
  }

  async #ask(worker: Worker, request: ReadRequest, signal: AbortSignal): Promise<ReadAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<ReadAnswer>()
    const onExit = (code: number) => {
      if (!signal.aborted) reject(new Error(`a reading thread ended with code ${code}`))
      else reject(signal.reason)
    }
    worker.once('message', resolve)
    worker.once('error', reject)
    worker.once('exit', onExit)
    const watch = endWhenDeaf(worker, signal, this.#stopGraceMs, reject)
    worker.postMessage(request)
    try {
      return await promise
    } finally {
      watch.clear()
      worker.off('message', resolve)
      worker.off('error', reject)
      worker.off('exit', onExit)
    }
  }

  #giveBack(worker: Worker): void {
    worker.unref()
    if (this.#closed || this.#idle.length >= IDLE_MAX) void endThread(worker)
    else this.#idle.push(worker)
  }
}

function toError(answer: Extract<ReadAnswer, { kind: 'refused' | 'broken' }>): Error {
  if (answer.kind === 'refused') {
    return new AppError(answer.code, answer.message, answer.details, answer.cause)
  }
  const error: NodeJS.ErrnoException = new Error(answer.message)
  if (answer.code !== null) error.code = answer.code
  if (answer.stack !== null) error.stack = answer.stack
  return error
}
