import { PROGRESS_STORE_INTERVAL_MS } from '../core/limits.ts'
import { WARNINGS_KEPT_MAX, type Warning } from '../core/outcome.ts'
import { advance, type Progress, type ProgressReport } from '../core/progress.ts'
import { NO_PACE, type Pace, RateWindow } from '../core/rate.ts'
import type { NumberedWarning } from '../store/warnings.ts'

/** What there is to store since the last time. */
export interface ReportBatch {
  readonly progress: Progress
  /** The phases that began, in order. */
  readonly phases: readonly string[]
  readonly warnings: readonly NumberedWarning[]
  /** Of the operation so far, the ones that are only counted included. */
  readonly warningCount: number
}

export interface ReporterOptions {
  readonly previous: Progress
  readonly warningCount: number
  readonly monotonicMs: () => number
  /** Hands on the newest progress. Must not throw. */
  readonly tell: (progress: Progress) => void
  /** Stores a batch. One that is refused is offered again with the next. */
  readonly store: (batch: ReportBatch) => Promise<void>
}

/** Listeners hear of progress at most this often; of a new phase at once. */
const TELL_INTERVAL_MS = 250
const PHASE_TELL_INTERVAL_MS = 50
/** An engine that changes its phase to and fro has the newest ones logged, and no more. */
const PHASES_WAITING_MAX = 16

/**
 * Stands between an engine that reports as often as it likes and those who want
 * to know. It keeps the newest report only; a timer hands it on and stores it,
 * one write at a time. Neither ever waits for the other.
 */
export class Reporter {
  readonly #options: ReporterOptions
  #rate = new RateWindow()
  /** A run that goes on has done this much before: reports below it say nothing of its pace. */
  #resumedAtBytes = 0
  #progress: Progress
  #newest: ProgressReport | null = null
  #phases: string[] = []
  #phase: string | null = null
  #warnings: NumberedWarning[] = []
  #warningCount: number
  #toldAtMs = Number.NEGATIVE_INFINITY
  #isPhaseUntold = false
  #storedAtMs = Number.NEGATIVE_INFINITY
  #isUnstored = false
  #storing: Promise<void> | null = null
  #timer: NodeJS.Timeout | null = null
  #isClosed = false

  constructor(options: ReporterOptions) {
    this.#options = options
    this.#progress = options.previous
    this.#warningCount = options.warningCount
  }

  get warningCount(): number {
    return this.#warningCount
  }

  report(report: ProgressReport): void {
    if (this.#isClosed) return
    const isFirst = this.#newest === null
    this.#newest = report
    if (report.phase !== this.#phase) {
      this.#phase = report.phase
      this.#phases.push(report.phase)
      if (this.#phases.length > PHASES_WAITING_MAX) this.#phases.shift()
      this.#isPhaseUntold = true
      this.#schedule()
    } else if (isFirst) this.#schedule()
  }

  /** What earlier runs did is not the pace of this one. */
  resumedFrom(bytesNotRedone: number): void {
    this.#rate = new RateWindow()
    this.#resumedAtBytes = bytesNotRedone
  }

  warn(warning: Warning): void {
    if (this.#isClosed) return
    this.#warningCount += 1
    if (this.#warningCount <= WARNINGS_KEPT_MAX) {
      this.#warnings.push({ ...warning, number: this.#warningCount })
    }
    const isFirst = !this.#isUnstored
    this.#isUnstored = true
    if (isFirst) this.#schedule()
  }

  /** Ends the reporting; answers what was not stored yet, for the commit that ends the run. */
  async close(): Promise<ReportBatch> {
    this.#isClosed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    await this.#storing
    this.#take()
    return this.#batch()
  }

  /** Sets the timer to what is due next; none where nothing is. */
  #schedule(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    if (this.#isClosed) return
    const tellAtMs = this.#newest === null ? Number.POSITIVE_INFINITY : this.#mayTellAtMs()
    const storeAtMs =
      this.#isUnstored && this.#storing === null
        ? this.#storedAtMs + PROGRESS_STORE_INTERVAL_MS
        : Number.POSITIVE_INFINITY
    const dueAtMs = Math.min(tellAtMs, storeAtMs)
    if (dueAtMs === Number.POSITIVE_INFINITY) return
    const waitMs = Math.max(0, dueAtMs - this.#options.monotonicMs())
    this.#timer = setTimeout(() => this.#tick(), waitMs)
  }

  /** An engine that changes its phase to and fro is heard no more often than before. */
  #mayTellAtMs(): number {
    return this.#toldAtMs + (this.#isPhaseUntold ? PHASE_TELL_INTERVAL_MS : TELL_INTERVAL_MS)
  }

  #tick(): void {
    this.#timer = null
    const nowMs = this.#options.monotonicMs()
    if (this.#newest !== null && nowMs >= this.#mayTellAtMs()) {
      this.#toldAtMs = nowMs
      this.#isPhaseUntold = false
      this.#take()
      this.#options.tell(this.#progress)
    }
    const isDue = nowMs - this.#storedAtMs >= PROGRESS_STORE_INTERVAL_MS
    if (this.#isUnstored && this.#storing === null && isDue) this.#store(nowMs)
    this.#schedule()
  }

  /** Makes progress of the newest report. */
  #take(): void {
    const report = this.#newest
    if (report === null) return
    this.#newest = null
    this.#progress = advance(this.#progress, report, this.#pace(report))
    this.#isUnstored = true
  }

  #pace({ bytesDone, bytesTotal }: ProgressReport): Pace {
    if (bytesDone < this.#resumedAtBytes) return NO_PACE
    return this.#rate.pace(bytesDone, bytesTotal, this.#options.monotonicMs())
  }

  #batch(): ReportBatch {
    const batch: ReportBatch = {
      progress: this.#progress,
      phases: this.#phases,
      warnings: this.#warnings,
      warningCount: this.#warningCount,
    }
    this.#phases = []
    this.#warnings = []
    this.#isUnstored = false
    return batch
  }

  #store(nowMs: number): void {
    this.#storedAtMs = nowMs
    const batch = this.#batch()
    this.#storing = this.#options
      .store(batch)
      .catch(() => {
        // Whoever stores has logged it. Nothing is lost: it goes with the next batch.
        this.#phases = [...batch.phases, ...this.#phases].slice(-PHASES_WAITING_MAX)
        this.#warnings.unshift(...batch.warnings)
        this.#isUnstored = true
      })
      .finally(() => {
        this.#storing = null
        this.#schedule()
      })
  }
}
