import { AppError, type Failure } from './errors.ts'
import type { JsonObject } from './json.ts'
import type { OperationKind } from './kinds.ts'
import type { Outcome } from './outcome.ts'
import type { Progress } from './progress.ts'

/**
 * The life of one operation. This table is the only place that says what may
 * follow what; the store refuses a write that `transition` did not make.
 *
 *     pending <──> running ──> completed
 *      │   ↑        │   └────> failed
 *      ↓   │        ↓
 *      paused <─────┘
 *        └────────────────────> cancelled, expired (from every live status)
 *
 * `running -> pending` is a run that ended without an end of the work: its
 * worker vanished or was told to stop. `paused -> pending` is a resume. Both
 * continue from the checkpoint.
 */
const NEXT = {
  pending: ['running', 'paused', 'failed', 'cancelled', 'expired'],
  running: ['pending', 'paused', 'completed', 'failed', 'cancelled', 'expired'],
  paused: ['pending', 'failed', 'cancelled', 'expired'],
  completed: [],
  failed: [],
  cancelled: [],
  expired: [],
} as const satisfies Record<string, readonly string[]>

export type Status = keyof typeof NEXT

export const STATUSES = Object.keys(NEXT) as readonly Status[]

export const isFinal = (status: Status): boolean => NEXT[status].length === 0

export const LIVE_STATUSES: readonly Status[] = STATUSES.filter((status) => !isFinal(status))

export const canFollow = (from: Status, to: Status): boolean =>
  (NEXT[from] as readonly Status[]).includes(to)

/** What somebody asked of a running operation, kept until a worker has honoured it. */
export type Intent = 'pause' | 'cancel'

export const PRIORITY_DEFAULT = 50
export const PRIORITY_MAX = 100

export interface Operation {
  readonly id: string
  readonly accountId: string
  readonly kind: OperationKind
  readonly status: Status
  /** Why it is in this status, in a sentence for people. */
  readonly statusReason: string
  /** Set exactly when `status` is `completed`. */
  readonly outcome: Outcome | null
  /** 0..100; higher runs first, then older. */
  readonly priority: number
  readonly sourceId: string | null
  readonly snapshotId: string | null
  readonly poolId: string | null
  /** What nobody else may work on while this operation is live, such as `source:<id>`. */
  readonly subjects: readonly string[]
  readonly input: JsonObject
  readonly result: JsonObject | null
  readonly failure: Failure | null
  readonly progress: Progress
  /** What the engine last saved, to go on from there. */
  readonly checkpoint: JsonObject | null
  readonly intent: Intent | null
  /** Counts the runs; also the fencing token of the present one. */
  readonly attempt: number
  readonly workerId: string | null
  readonly retryOf: string | null
  /** How often a run went on from a checkpoint, and the bytes it did not do again. */
  readonly resumedCount: number
  readonly bytesNotRedone: number
  readonly createdAtMs: number
  readonly startedAtMs: number | null
  readonly updatedAtMs: number
  /** Set exactly when `status` is final. */
  readonly finishedAtMs: number | null
}

/** Returns the operation in its next status; throws `conflict` where the table forbids it. */
export function transition(
  operation: Operation,
  to: Status,
  statusReason: string,
  nowMs: number,
): Operation {
  if (!canFollow(operation.status, to)) {
    throw new AppError('conflict', `a ${operation.status} operation cannot become ${to}`, {
      operationId: operation.id,
      status: operation.status,
    })
  }
  return {
    ...operation,
    status: to,
    statusReason,
    startedAtMs: to === 'running' ? (operation.startedAtMs ?? nowMs) : operation.startedAtMs,
    updatedAtMs: nowMs,
    finishedAtMs: isFinal(to) ? nowMs : null,
    workerId: to === 'running' ? operation.workerId : null,
    // A pause or cancel that was honoured, or came too late, is not carried into the next run.
    intent: to === 'running' ? operation.intent : null,
  }
}
