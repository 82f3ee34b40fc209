import type { OperationKind } from '../core/kinds.ts'
import { ENGINE_STOP_MS, WORKER_BEAT_INTERVAL_MS } from '../core/limits.ts'
import type { StopRequest } from '../engines/engine.ts'
import { type Claim, claimNext, hasPending, runStates } from '../store/operations.ts'
import { truncateWarnings } from '../store/warnings.ts'
import { Cleanup } from './cleanup.ts'
import type { Jobs } from './jobs.ts'
import { operationEvent } from './operation-events.ts'
import { Presence } from './presence.ts'
import { reasons } from './reasons.ts'
import { Recovery } from './recovery.ts'
import type { Room } from './room.ts'
import { Run } from './runner.ts'

export interface WorkerOptions {
  readonly jobs: Jobs
  /** How many operations run here at once. */
  readonly concurrency?: number
  /** How many of one kind, where that is fewer. */
  readonly concurrencyByKind?: Readonly<Partial<Record<OperationKind, number>>>
  /**
   * Whether no other process can work on these records, as with the embedded
   * store: then every run on record at the start has ended, and nobody watches.
   */
  readonly isAlone?: boolean
  readonly engineStopMs?: number
  readonly beatIntervalMs?: number
  readonly vanishedAfterMs?: number
}

export const CONCURRENCY_DEFAULT = 2
/** Who was not woken, or was woken in vain, looks again this often. */
const POLL_INTERVAL_MS = 1_000
const SWEEP_EVERY_POLLS = 10
/** At a drain, a run that has stopped has this long to be recorded. */
const RECORD_MS = 5_000

/**
 * Claims operations and runs them.
 *
 *     idle ──start──> claiming ──drain──> draining ──> idle
 *
 * While it claims, it beats, watches the other workers, hears intents, and
 * removes what ended operations left.
 */
export class Worker {
  readonly #room: Room
  readonly #options: WorkerOptions
  readonly #isAlone: boolean
  readonly #presence: Presence
  readonly #recovery: Recovery
  readonly #cleanup: Cleanup
  readonly #runs = new Map<string, Run>()
  #mode: 'idle' | 'claiming' | 'draining' = 'idle'
  #claiming: Promise<void> | null = null
  #isWorkWanted = false
  #polling: Promise<void> | null = null
  #polls = 0
  #timers: NodeJS.Timeout[] = []
  #stopListening: (() => void) | null = null

  constructor(options: WorkerOptions) {
    this.#options = options
    this.#room = options.jobs.room
    this.#isAlone = options.isAlone ?? this.#room.database.dialect === 'sqlite'
    this.#presence = new Presence(this.#room)
    const { vanishedAfterMs } = options
    this.#recovery = new Recovery(
      this.#room,
      vanishedAfterMs === undefined ? {} : { vanishedAfterMs },
    )
    this.#cleanup = new Cleanup(this.#room)
  }

  /** How many operations run here now. */
  get runningCount(): number {
    return this.#runs.size
  }

  /** Recovers what earlier processes left, then claims. Resolves when it does. */
  async start(): Promise<void> {
    if (this.#mode !== 'idle') return
    if (this.#isAlone) await this.#recovery.recoverAll()
    else await this.#recovery.forgetEndedWorkers()
    await this.#presence.enter()
    this.#mode = 'claiming'
    this.#stopListening = this.#room.onWake((topic, id) => {
      if (topic === 'work') this.#wakeToWork()
      if (topic === 'intent' && this.#runs.has(id)) void this.#honourIntents([id])
    })
    const beatMs = this.#options.beatIntervalMs ?? WORKER_BEAT_INTERVAL_MS
    this.#timers = [setInterval(() => this.#poll(), POLL_INTERVAL_MS)]
    if (!this.#isAlone) this.#timers.push(setInterval(() => this.#beat(), beatMs))
    this.#wakeToWork()
  }

  /**
   * Claims no more, and tells what runs to leave a checkpoint. What has not
   * stopped in time is given back to the queue without one.
   */
  async drain(): Promise<void> {
    if (this.#mode !== 'claiming') return
    this.#mode = 'draining'
    this.#stopListening?.()
    this.#stopListening = null
    await this.#claiming
    this.#stopAll('shutdown')
    await this.#runsOver()
    for (const timer of this.#timers) clearInterval(timer)
    this.#timers = []
    await this.#polling
    await this.#cleanup.stop()
    await this.#presence.leave().catch((error: unknown) => {
      // Others notice that its process is gone, or that its beat stands still.
      this.#room.log.warn('could not sign off from the records', { error })
    })
    this.#mode = 'idle'
  }

  /**
   * Waits for the runs to be recorded. While the store refuses them that could
   * be forever: then they are left to the recovery of the next start.
   */
  async #runsOver(): Promise<void> {
    const over = Promise.all([...this.#runs.values()].map((run) => run.done))
    const stopMs = this.#options.engineStopMs ?? ENGINE_STOP_MS
    const timer = setTimeout(() => this.#stopAll('lease_lost'), stopMs + RECORD_MS)
    await over
    clearTimeout(timer)
  }

  #wakeToWork(): void {
    this.#isWorkWanted = true
    this.#claiming ??= this.#claimWhileWanted().finally(() => {
      this.#claiming = null
    })
    void this.#cleanup.sweep()
  }

  async #claimWhileWanted(): Promise<void> {
    while (this.#isWorkWanted && this.#mode === 'claiming') {
      this.#isWorkWanted = false
      try {
        await this.#claimAll()
      } catch (error) {
        this.#room.trouble.warn('could not claim; it is tried again', { error })
      }
    }
  }

  async #claimAll(): Promise<void> {
    for (;;) {
      const free = (this.#options.concurrency ?? CONCURRENCY_DEFAULT) - this.#runs.size
      if (free <= 0 || this.#mode !== 'claiming') return
      if (!(await hasPending(this.#room.database.sql))) return
      const claims = await this.#claim(free)
      for (const claim of claims) await this.#begin(claim)
      if (claims.length < free) return
    }
  }

  /** Takes up to `count` operations in one commit. */
  #claim(count: number): Promise<readonly Claim[]> {
    const { database, clock } = this.#room
    const nowMs = clock.nowMs()
    const workerId = this.#presence.workerId
    return database.write(async (tx) => {
      const claims: Claim[] = []
      while (claims.length < count) {
        const claim = await claimNext(tx, {
          dialect: database.dialect,
          workerId,
          statusReason: reasons.running,
          nowMs,
          kindsFull: this.#kindsFull(claims),
        })
        if (claim === null) break
        claims.push(claim)
        const { operation, warningCount } = claim
        if (operation.attempt > 1) await truncateWarnings(tx, operation.id, warningCount)
        tx.append(operationEvent(operation, 'started', nowMs))
      }
      return claims
    })
  }

  #kindsFull(claims: readonly Claim[]): readonly OperationKind[] {
    const limits = Object.entries(this.#options.concurrencyByKind ?? {})
    const kinds = [
      ...[...this.#runs.values()].map((run) => run.kind),
      ...claims.map((claim) => claim.operation.kind),
    ]
    return limits
      .filter(([kind, limit]) => kinds.filter((other) => other === kind).length >= limit)
      .map(([kind]) => kind as OperationKind)
  }

  async #begin({ operation, warningCount, predecessorId }: Claim): Promise<void> {
    const { engineStopMs } = this.#options
    const predecessorEnded =
      predecessorId === null || (await this.#recovery.hasEnded(predecessorId).catch(() => false))
    const run = new Run(this.#room, {
      operation,
      warningCount,
      predecessorEnded,
      ...(engineStopMs === undefined ? {} : { engineStopMs }),
    })
    this.#runs.set(operation.id, run)
    void run.done.then(() => {
      this.#runs.delete(operation.id)
      this.#wakeToWork()
    })
  }

  #poll(): void {
    this.#polling ??= this.#pollOnce()
      .catch((error: unknown) => {
        this.#room.trouble.warn('could not look at the records; it is tried again', { error })
      })
      .finally(() => {
        this.#polling = null
      })
  }

  async #pollOnce(): Promise<void> {
    if (!this.#isAlone && this.#presence.isOverdue()) this.#stopAll('lease_lost')
    await this.#honourIntents([...this.#runs.keys()])
    if (!this.#isAlone) await this.#recovery.look(this.#presence.workerId)
    await this.#recovery.recoverStrays(this.#presence.workerId, new Set(this.#runs.keys()))
    this.#polls += 1
    if (this.#polls % SWEEP_EVERY_POLLS === 0) void this.#cleanup.sweep()
    if (this.#mode === 'claiming') this.#wakeToWork()
  }

  #beat(): void {
    if (this.#presence.isOverdue()) this.#stopAll('lease_lost')
    this.#presence
      .beat(() => this.#stopAll('lease_lost'))
      .catch((error: unknown) => {
        this.#room.trouble.warn('could not give a sign of life; it is tried again', { error })
      })
  }

  /** Stops runs of which a pause or cancel is on record, and those that are not the present ones any more. */
  async #honourIntents(ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return
    try {
      const states = await runStates(this.#room.database.sql, ids)
      for (const { id, attempt, status, intent } of states) {
        const run = this.#runs.get(id)
        if (run === undefined || run.key.attempt > attempt) continue
        if (run.key.attempt < attempt || status !== 'running') run.stop('lease_lost')
        else if (intent !== null) run.stop(intent)
      }
    } catch (error) {
      this.#room.trouble.warn('could not read what was asked of the runs', { error })
    }
  }

  #stopAll(why: StopRequest['why']): void {
    for (const run of this.#runs.values()) run.stop(why)
  }
}
