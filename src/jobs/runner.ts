import { AppError, toFailure } from '../core/errors.ts'
import type { JsonObject } from '../core/json.ts'
import type { OperationKind } from '../core/kinds.ts'
import { ENGINE_STOP_MS } from '../core/limits.ts'
import type { Operation } from '../core/operation.ts'
import {
  type Engine,
  type EngineContext,
  type EngineResult,
  type EngineTask,
  StopRequest,
} from '../engines/engine.ts'
import {
  findOperation,
  type RunKey,
  runStates,
  saveCheckpoint,
  saveProgress,
  saveResumed,
} from '../store/operations.ts'
import { reasons } from './reasons.ts'
import { type ReportBatch, Reporter } from './reporter.ts'
import type { Room } from './room.ts'
import { appendReports, type RunEnd, settleRun } from './settle.ts'
import { engineFor, readTask } from './tasks.ts'

export interface RunOptions {
  readonly operation: Operation
  /** Given up to the checkpoint that the run goes on from. */
  readonly warningCount: number
  readonly predecessorEnded: boolean
  readonly engineStopMs?: number
}

type EngineEnd =
  | { readonly kind: 'resolved'; readonly result: EngineResult }
  | { readonly kind: 'rejected'; readonly error: unknown }
  /** Told to stop, and still at it when its time was over. */
  | { readonly kind: 'abandoned' }

const RETRY_FIRST_MS = 50
const RETRY_MAX_MS = 2_000
/**
 * A run whose checkpoints meet a full disk is given up after this long: what it
 * has staged may be what fills the disk, and only its end makes room.
 */
const ROOM_PATIENCE_MS = 3_000

/**
 * One run of one operation, from the claim to the commit that ends it. Every
 * write carries the `attempt` of the claim; the first that is refused tells the
 * run that it has lost its lease, and it then writes nothing more.
 */
export class Run {
  readonly key: RunKey
  /** Settles when the run has been recorded, or has found that it is not the present one. Never rejects. */
  readonly done: Promise<void>
  readonly #room: Room
  readonly #options: RunOptions
  readonly #stopper = new AbortController()
  readonly #stopped = Promise.withResolvers<void>()
  readonly #reporter: Reporter
  #operation: Operation
  #isLeaseLost = false
  #resuming: Promise<unknown> | null = null

  constructor(room: Room, options: RunOptions) {
    this.#room = room
    this.#options = options
    this.#operation = options.operation
    this.key = { id: options.operation.id, attempt: options.operation.attempt }
    this.#reporter = new Reporter({
      previous: options.operation.progress,
      warningCount: options.warningCount,
      monotonicMs: () => room.clock.monotonicMs(),
      tell: (progress) => {
        const { id: operationId, accountId, sourceId } = this.#operation
        room.progress.tell({ operationId, accountId, sourceId, progress })
      },
      store: (batch) => this.#storeBatch(batch),
    })
    this.done = this.#execute()
  }

  get kind(): OperationKind {
    return this.#operation.kind
  }

  /** Tells the engine to stop. A lost lease is the only reason that may follow another. */
  stop(why: StopRequest['why']): void {
    if (why === 'lease_lost' && !this.#isLeaseLost) {
      this.#isLeaseLost = true
      this.#room.log.warn('a run lost its lease: it stops and publishes nothing', { ...this.key })
    }
    if (this.#stopper.signal.aborted) return
    this.#stopper.abort(new StopRequest(why))
    const timer = setTimeout(this.#stopped.resolve, this.#options.engineStopMs ?? ENGINE_STOP_MS)
    void this.done.then(() => clearTimeout(timer))
  }

  async #execute(): Promise<void> {
    const { id } = this.key
    this.#room.busy.add(id)
    this.#room.progress.begin(id)
    let mayStillRun = false
    try {
      mayStillRun = await this.#runToEnd()
    } catch (error) {
      this.#room.log.error('a run could not be recorded', { ...this.key, error })
    } finally {
      // An engine that goes on nevertheless has nothing to write any more.
      this.#isLeaseLost = true
      await this.#reporter.close()
      this.#room.progress.end(id)
      if (!mayStillRun) this.#room.busy.delete(id)
    }
  }

  /** Answers whether the engine is still at work. */
  async #runToEnd(): Promise<boolean> {
    let engine: Engine
    let task: EngineTask
    try {
      task = await this.#persist(() => readTask(this.#room, this.#operation))
      engine = engineFor(this.#room.engines, task)
    } catch (error) {
      await this.#fail(error, null)
      return false
    }
    const working = this.#work(engine, task)
    const end = await Promise.race([
      working,
      this.#stopped.promise.then((): EngineEnd => ({ kind: 'abandoned' })),
    ])
    if (end.kind === 'abandoned') this.#watchAbandoned(working)
    if (end.kind === 'resolved') await this.#settle({ kind: 'completed', result: end.result }, true)
    else if (end.kind === 'abandoned') await this.#settleStopped(null, true)
    else if (this.#stopper.signal.aborted) {
      if (end.error !== this.#stopper.signal.reason) this.#logRejection(end.error)
      await this.#settleStopped(() => engine.discard(task, this.#operation.checkpoint), false)
    } else await this.#fail(end.error, () => engine.discard(task, null))
    return end.kind === 'abandoned'
  }

  async #work(engine: Engine, task: EngineTask): Promise<EngineEnd> {
    try {
      this.#stopper.signal.throwIfAborted()
      return { kind: 'resolved', result: await engine.run(task, this.#context()) }
    } catch (error) {
      return { kind: 'rejected', error }
    }
  }

  #watchAbandoned(working: Promise<EngineEnd>): void {
    const { id } = this.key
    this.#room.log.warn('an engine went on after it was told to stop', { ...this.key })
    void working.then(() => {
      this.#room.busy.delete(id)
      this.#room.wake('work', id)
    })
  }

  #logRejection(error: unknown): void {
    this.#room.log.warn('a stopped engine failed in its own words', { ...this.key, error })
  }

  #context(): EngineContext {
    return {
      signal: this.#stopper.signal,
      report: (progress) => this.#reporter.report(progress),
      warn: (warning) => this.#reporter.warn(warning),
      checkpoint: this.#operation.checkpoint,
      predecessorEnded: this.#options.predecessorEnded,
      saveCheckpoint: (checkpoint) => this.#saveCheckpoint(checkpoint),
      resumedFrom: (bytesNotRedone) => this.#resumedFrom(bytesNotRedone),
      assertCurrent: () => this.#assertCurrent(),
    }
  }

  async #saveCheckpoint(
    checkpoint: JsonObject | null,
    roomPatienceMs = ROOM_PATIENCE_MS,
  ): Promise<void> {
    const warningCount = this.#reporter.warningCount
    const isCurrent = await this.#persist(
      () =>
        this.#room.database.write((tx) =>
          saveCheckpoint(tx, { ...this.key, checkpoint, warningCount }),
        ),
      roomPatienceMs,
    )
    if (!isCurrent) return this.#loseLease()
    this.#operation = { ...this.#operation, checkpoint }
  }

  #resumedFrom(bytesNotRedone: number): void {
    if (this.#resuming !== null) return
    this.#reporter.resumedFrom(bytesNotRedone)
    const operation: Operation = {
      ...this.#operation,
      resumedCount: this.#operation.resumedCount + 1,
      bytesNotRedone: this.#operation.bytesNotRedone + Math.max(0, Math.floor(bytesNotRedone)),
    }
    const { resumedCount } = operation
    const statusReason = reasons.resumed(operation)
    this.#operation = { ...operation, statusReason }
    const resumed = {
      ...this.key,
      resumedCount,
      bytesNotRedone: operation.bytesNotRedone,
      statusReason,
    }
    this.#resuming = this.#persist(
      () => this.#room.database.write((tx) => saveResumed(tx, resumed), { durable: false }),
      ROOM_PATIENCE_MS,
    ).catch((error: unknown) => {
      this.#room.log.warn('could not record that a run was resumed', { ...this.key, error })
    })
  }

  async #assertCurrent(): Promise<void> {
    this.#stopper.signal.throwIfAborted()
    const [state] = await this.#persist(() => runStates(this.#room.database.sql, [this.key.id]))
    if (state?.attempt !== this.key.attempt || state.status !== 'running') this.#loseLease()
    this.#stopper.signal.throwIfAborted()
  }

  /** Throws, so that the engine goes no further. */
  #loseLease(): never {
    this.stop('lease_lost')
    this.#stopper.signal.throwIfAborted()
    throw new StopRequest('lease_lost') // never reached: `stop` has aborted the signal
  }

  async #storeBatch(batch: ReportBatch): Promise<void> {
    const nowMs = this.#room.clock.nowMs()
    // What goes into the event log is durable: its sequence numbers are known to clients.
    const durable = batch.phases.length > 0 || batch.warnings.length > 0
    try {
      const isCurrent = await this.#room.database.write(
        async (tx) => {
          const saved = await saveProgress(tx, { ...this.key, progress: batch.progress, nowMs })
          if (saved) await appendReports(tx, this.#operation, batch, nowMs)
          return saved
        },
        { durable },
      )
      if (isCurrent) this.#room.progress.stored(this.key.id)
      else this.stop('lease_lost')
    } catch (error) {
      this.#room.trouble.warn('could not store progress; it is tried again', { ...this.key, error })
      throw error
    }
  }

  async #fail(error: unknown, discard: (() => Promise<void>) | null): Promise<void> {
    const failure = toFailure(error)
    const log = this.#room.log
    if (failure.code === 'internal') log.error('an operation failed', { ...this.key, error })
    if (discard !== null && this.#operation.checkpoint !== null && !this.#isLeaseLost) {
      // Should this process end in the middle of the removal, no later run may rely on what is half gone.
      await this.#saveCheckpoint(null, 0).catch(() => {
        // Refused for want of room: the removal makes some. Otherwise the lease is lost, which the
        // next lines look at themselves.
      })
    }
    const isDiscarded = await this.#discard(discard)
    await this.#settle({ kind: 'failed', failure }, isDiscarded)
  }

  async #settleStopped(discard: (() => Promise<void>) | null, mayStillRun: boolean): Promise<void> {
    if (this.#isLeaseLost) return
    const stored = await this.#persist(() => findOperation(this.#room.database.sql, this.key.id))
    const isCancelled = stored?.intent === 'cancel'
    const isDiscarded = isCancelled && (await this.#discard(discard))
    const end: RunEnd = { kind: 'stopped', reason: reasons.shutdown }
    await this.#settle(end, isDiscarded, mayStillRun)
  }

  /** Answers whether nothing is left. What is left is remembered with the end, and tried again later. */
  async #discard(discard: (() => Promise<void>) | null): Promise<boolean> {
    if (this.#isLeaseLost || discard === null) return false
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const timer = setTimeout(() => resolve(false), this.#options.engineStopMs ?? ENGINE_STOP_MS)
    discard().then(
      () => resolve(true),
      (error: unknown) => {
        this.#room.log.warn('could not remove what a run left', { ...this.key, error })
        resolve(false)
      },
    )
    return promise.finally(() => clearTimeout(timer))
  }

  async #settle(end: RunEnd, isDiscarded: boolean, mayStillRun = false): Promise<void> {
    await this.#resuming
    const batch = await this.#reporter.close()
    if (this.#isLeaseLost) return
    const ending = { end, batch, isDiscarded, mayStillRun }
    const settled = await this.#persist(() => settleRun(this.#room, this.key, ending)).catch(
      (error: unknown) => this.#settleUnrecordable(error, ending.batch),
    )
    if (settled === null) {
      this.#room.log.warn('a run ended that had lost its lease', { ...this.key })
    }
  }

  /** What an engine answered cannot be kept as it is: that is a bug, and the operation says so. */
  async #settleUnrecordable(error: unknown, batch: ReportBatch): Promise<Operation | null> {
    if (this.#isLeaseLost) return null
    this.#room.log.error('the end of a run could not be recorded', { ...this.key, error })
    const end: RunEnd = { kind: 'failed', failure: toFailure(error) }
    const ending = { end, batch, isDiscarded: false, mayStillRun: false }
    return this.#persist(() => settleRun(this.#room, this.key, ending))
  }

  /**
   * Tries again while the store has trouble that may pass, for as long as the
   * lease lasts; while its disk is full, for no longer than it is worth.
   */
  async #persist<T>(
    attempt: () => Promise<T>,
    roomPatienceMs = Number.POSITIVE_INFINITY,
  ): Promise<T> {
    const { clock, trouble } = this.#room
    const beganAtMs = clock.monotonicMs()
    for (let waitMs = RETRY_FIRST_MS; ; waitMs = Math.min(RETRY_MAX_MS, waitMs * 2)) {
      try {
        return await attempt()
      } catch (error) {
        const mayPass = error instanceof AppError && error.retry === 'later'
        if (!mayPass || this.#isLeaseLost) throw error
        const hasWaitedMs = clock.monotonicMs() - beganAtMs
        if (error.code === 'no_room' && hasWaitedMs >= roomPatienceMs) throw error
        trouble.warn('the store refused a write of a run; it is tried again', {
          ...this.key,
          waitMs,
          error,
        })
        await new Promise((resolve) => setTimeout(resolve, waitMs))
      }
    }
  }
}
