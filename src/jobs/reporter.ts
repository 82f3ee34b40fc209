import { PROGRESS_STORE_INTERVAL_MS } from '../core/limits.ts'
import { WARNINGS_KEPT_MAX, type Warning } from '../core/outcome.ts'
import { advance, type Progress, type ProgressReport } from '../core/progress.ts'
import { RateWindow } from '../core/rate.ts'
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

/** Listeners hear of progress at most this often. */
const TELL_INTERVAL_MS = 100
/** An engine that changes its phase to and fro has the newest ones logged, and no more. */
const PHASES_WAITING_MAX = 16

/**
 * Stands between an engine that reports as often as it likes and those who want
 * to know. It keeps the newest report only; a timer hands it on and stores it,
 * one write at a time. Neither ever waits for the other.
 */
export class Reporter {
  readonly #options: ReporterOptions
  readonly #rate = new RateWindow()
  #progress: Progress
  #newest: ProgressReport | null = null
  #phases: string[] = []
  #phase: string | null = null
  #warnings: NumberedWarning[] = []
  #warningCount: number
  #toldAtMs = Number.NEGATIVE_INFINITY
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
    }
    if (isFirst) this.#schedule()
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
    const tellAtMs =
      this.#newest === null ? Number.POSITIVE_INFINITY : this.#toldAtMs + TELL_INTERVAL_MS
    const storeAtMs =
      this.#isUnstored && this.#storing === null
        ? this.#storedAtMs + PROGRESS_STORE_INTERVAL_MS
        : Number.POSITIVE_INFINITY
    const dueAtMs = Math.min(tellAtMs, storeAtMs)
    if (dueAtMs === Number.POSITIVE_INFINITY) return
    const waitMs = Math.max(0, dueAtMs - this.#options.monotonicMs())
    this.#timer = setTimeout(() => this.#tick(), waitMs)
  }

  #tick(): void {
    this.#timer = null
    const nowMs = this.#options.monotonicMs()
    if (this.#newest !== null && nowMs - this.#toldAtMs >= TELL_INTERVAL_MS) {
      this.#toldAtMs = nowMs
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
    const pace = this.#rate.pace(report.bytesDone, report.bytesTotal, this.#options.monotonicMs())
    this.#progress = advance(this.#progress, report, pace)
    this.#isUnstored = true
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
