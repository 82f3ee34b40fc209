import { isFinal, type Operation } from '../../core/operation.ts'
import type { Progress } from '../../core/progress.ts'
import { stepAndInterval, Throttle } from '../../core/throttle.ts'

/**
 * The payload of `backup progress` (seed 000, "Event Structure"): exactly these
 * four fields, always all of them, zeros included.
 */
export interface ProgressFrame {
  readonly type: 'create' | 'restore'
  /** 0..99 while it runs, 100 done, -1 failed. */
  readonly percentage: number
  /** Create: bytes. Restore: files restored. */
  readonly bytes_written: number
  readonly bytes_total: number
}

/** What `?details=1` adds after the four fields of the seed. */
export interface FrameDetails {
  readonly operation_id: string
  readonly backup_id: string | null
  readonly phase: string
  readonly rate_bps: number | null
  readonly eta_seconds: number | null
  readonly files_done: number
  readonly upload_bytes: number
  readonly upload_total: number | null
  readonly error: string | null
}

/** seed 000, "Special Values": "percentage: 100 = Operation completed successfully", "-1 = Operation failed/errored". */
const SUCCEEDED = 100
const FAILED = -1
/** decisions 000: "Restore frames count files … in steps of 10". */
const FILES_STEP = 10
const MIB = 1024 * 1024
/** seed 000, "Throttling Behavior": "≥1%", "Minimum 500ms interval between updates". */
const MIN_INTERVAL_MS = 500
/** Before these phases are over the total is not the whole truth, and the first frame carries the total. */
const PHASES_BEFORE_TOTAL: ReadonlySet<string> = new Set(['waiting', 'scanning'])

/** Whether the wings dialect has a word for it. */
export const isFramed = ({ kind, sourceId }: Operation): boolean =>
  sourceId !== null && (kind === 'backup' || kind === 'restore')

const frameType = ({ kind }: Pick<Operation, 'kind'>): ProgressFrame['type'] =>
  kind === 'restore' ? 'restore' : 'create'

/**
 * The frames of one operation for one socket: one first frame, some between
 * that the throttle lets through, and one last, on every path.
 */
export class OperationFrames {
  readonly #type: ProgressFrame['type']
  readonly #throttle: Throttle
  #newest: ProgressFrame | null = null
  #ended = false

  constructor(operation: Pick<Operation, 'kind'>) {
    this.#type = frameType(operation)
    this.#throttle = new Throttle(
      stepAndInterval({
        minPercent: 1,
        minCount: this.#type === 'create' ? MIB : FILES_STEP,
        minIntervalMs: MIN_INTERVAL_MS,
      }),
    )
  }

  /** For a socket that comes in the middle: where it stands, at once. */
  join(progress: Progress, nowMs: number): readonly ProgressFrame[] {
    if (this.#newest !== null || this.#ended) return []
    const isUnbegun = PHASES_BEFORE_TOTAL.has(progress.phase) && progress.bytesDone === 0
    return isUnbegun ? [] : [this.#say(this.#running(progress), nowMs)]
  }

  /** For a socket that was there before: the first frame says 0 of the total, the others follow the throttle. */
  progress(progress: Progress, nowMs: number): readonly ProgressFrame[] {
    if (this.#ended) return []
    if (this.#newest === null) {
      if (PHASES_BEFORE_TOTAL.has(progress.phase)) return []
      return [this.#say(this.#first(progress), nowMs)]
    }
    const frame = this.#running(progress)
    return this.#admit(frame, nowMs) ? [frame] : []
  }

  /** Whether anything of it was said. */
  get hasBegun(): boolean {
    return this.#newest !== null
  }

  /** The last frame, and the first before it where the end came so soon. */
  end(operation: Operation): readonly ProgressFrame[] {
    if (this.#ended || !isFinal(operation.status)) return []
    this.#ended = true
    const last = lastFrame(operation, this.#newest)
    return this.#newest === null ? [this.#first(operation.progress), last] : [last]
  }

  #say(frame: ProgressFrame, nowMs: number): ProgressFrame {
    this.#admit(frame, nowMs)
    return frame
  }

  #admit(frame: ProgressFrame, nowMs: number): boolean {
    const percent = this.#type === 'restore' || frame.bytes_total === 0 ? null : frame.percentage
    const admitted = this.#throttle.admit({ atMs: nowMs, percent, count: frame.bytes_written })
    if (admitted) this.#newest = frame
    return admitted
  }

  #first(progress: Progress): ProgressFrame {
    const bytesTotal = this.#type === 'restore' ? 0 : (progress.bytesTotal ?? 0)
    return { type: this.#type, percentage: 0, bytes_written: 0, bytes_total: bytesTotal }
  }

  #running(progress: Progress): ProgressFrame {
    return runningFrame(this.#type, progress)
  }
}

function runningFrame(type: ProgressFrame['type'], progress: Progress): ProgressFrame {
  if (type === 'restore') {
    const files = Math.floor(progress.itemsDone / FILES_STEP) * FILES_STEP
    return { type, percentage: 0, bytes_written: files, bytes_total: 0 }
  }
  return {
    type,
    percentage: progress.percent ?? 0,
    bytes_written: progress.bytesDone,
    bytes_total: progress.bytesTotal ?? 0,
  }
}

/**
 * decisions 000: "−1 keeps the last byte counts". Those that were told: a record
 * can be half a second behind them when its worker vanished.
 */
function lastFrame(operation: Operation, newest: ProgressFrame | null): ProgressFrame {
  const type = frameType(operation)
  const { progress } = operation
  const counted = type === 'restore' ? progress.itemsDone : progress.bytesDone
  const done = Math.max(counted, newest?.bytes_written ?? 0)
  const isWell = operation.status === 'completed'
  const total = isWell ? done : Math.max(progress.bytesTotal ?? 0, newest?.bytes_total ?? 0)
  return {
    type,
    percentage: isWell ? SUCCEEDED : FAILED,
    bytes_written: done,
    bytes_total: type === 'restore' ? 0 : total,
  }
}

/** Whether it says how an operation ended. */
export const isLastFrame = ({ percentage }: ProgressFrame): boolean =>
  percentage === SUCCEEDED || percentage === FAILED

export const frameDetails = (
  frame: ProgressFrame,
  operation: Operation,
  progress: Progress,
): FrameDetails => ({
  operation_id: operation.id,
  backup_id: backupIdOf(operation),
  phase: progress.phase,
  rate_bps: progress.ratePerSecond,
  eta_seconds: progress.secondsLeft,
  files_done: progress.itemsDone,
  upload_bytes: progress.transferredBytes,
  upload_total: progress.transferredTotal,
  // The state of an operation can be ahead of its frames: only the last one knows how it ended.
  error: isLastFrame(frame) ? (operation.failure?.message ?? null) : null,
})

/** In this dialect a backup and what it left share one id: that of the operation. */
export const backupIdOf = (operation: Operation): string | null => {
  if (operation.kind === 'backup') return operation.id
  const given = operation.input['backupId']
  return typeof given === 'string' ? given : null
}
