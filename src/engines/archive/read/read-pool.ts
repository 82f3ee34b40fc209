import { Worker } from 'node:worker_threads'
import { AppError, type ErrorCode, type ErrorDetails } from '../../../core/errors.ts'
import type { HashJob, HashResult } from './archive-hash.ts'
import type { IndexJob, IndexResult } from './browse-build.ts'
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
  | IndexJob

interface Results {
  readonly hash: HashResult
  readonly plan: ArchivePlan
  readonly prove: ProveResult
  readonly extract: ExtractResult
  readonly merge: MergeResult
  readonly remove: null
  readonly verify: VerifyScan
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

/** Threads that read archives by synchronous calls, used again from job to job. */
export class ReadPool {
  readonly #idle: Worker[] = []
  #closed = false

  /**
   * Runs one job in a thread of its own. After `signal` aborts it settles once
   * the thread has stopped, rejecting with `signal.reason`: nothing is still
   * written to when this has settled.
   */
  async run<Kind extends ReadJob['kind']>(
    job: Extract<ReadJob, { kind: Kind }>,
    signal: AbortSignal,
    progress: SharedProgress = new SharedProgress(),
  ): Promise<Results[Kind]> {
    signal.throwIfAborted()
    const worker = this.#idle.pop() ?? startWorker()
    worker.ref()
    const stop = () => progress.stop()
    signal.addEventListener('abort', stop, { once: true })
    let answer: ReadAnswer
    try {
      answer = await ask(worker, { job, memory: progress.memory })
    } finally {
      signal.removeEventListener('abort', stop)
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

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all(this.#idle.splice(0).map((worker) => worker.terminate()))
  }

  #giveBack(worker: Worker): void {
    worker.unref()
    if (this.#closed || this.#idle.length >= IDLE_MAX) {
      worker.terminate().catch(() => {
        // It has ended by itself.
      })
    } else this.#idle.push(worker)
  }
}

function startWorker(): Worker {
  return new Worker(new URL('./read-worker.ts', import.meta.url), {
    // Flags of the process, such as --test, are none of the thread's.
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 16 },
  })
}

async function ask(worker: Worker, request: ReadRequest): Promise<ReadAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<ReadAnswer>()
  const onExit = (code: number) => reject(new Error(`a reading thread ended with code ${code}`))
  worker.once('message', resolve)
  worker.once('error', reject)
  worker.once('exit', onExit)
  worker.postMessage(request)
  try {
    return await promise
  } finally {
    worker.off('message', resolve)
    worker.off('error', reject)
    worker.off('exit', onExit)
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
