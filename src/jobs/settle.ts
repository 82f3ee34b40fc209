import { AppError, type Failure } from '../core/errors.ts'
import type { OperationEvent } from '../core/events.ts'
import type { JsonObject } from '../core/json.ts'
import { type Operation, transition } from '../core/operation.ts'
import { outcomeOf } from '../core/outcome.ts'
import { completed, standing } from '../core/progress.ts'
import type { Snapshot } from '../core/snapshot.ts'
import type { EngineResult } from '../engines/engine.ts'
import type { WriteTransaction } from '../store/database.ts'
import { releaseHolds, rememberDiscard } from '../store/holds.ts'
import {
  countLostRun,
  findAsker,
  findOperation,
  type RunKey,
  replaceOperation,
} from '../store/operations.ts'
import { insertSnapshot, setSnapshotVerified } from '../store/snapshots.ts'
import { appendWarnings, countWarnings } from '../store/warnings.ts'
import { operationEvent, snapshotEvent } from './operation-events.ts'
import { reasons } from './reasons.ts'
import type { ReportBatch } from './reporter.ts'
import type { Room } from './room.ts'

/** How one run ended. */
export type RunEnd =
  | { readonly kind: 'completed'; readonly result: EngineResult }
  | { readonly kind: 'failed'; readonly failure: Failure }
  /** It did not come to its end: an intent says what follows, else it goes back to the queue. */
  | { readonly kind: 'stopped'; readonly reason: (operation: Operation) => string }
  /** As `stopped`, with its worker gone: that is not tried for ever. */
  | { readonly kind: 'lost'; readonly reason: (operation: Operation) => string }

export interface RunEnding {
  readonly end: RunEnd
  /** What the reporter had not stored yet; `null` where another process ends the run. */
  readonly batch: ReportBatch | null
  /** Whether the engine has removed already what the runs left half-made. */
  readonly isDiscarded: boolean
  /** Whether the engine may still be at work: the next run then must not touch its files. */
  readonly mayStillRun: boolean
}

interface Next {
  readonly operation: Operation
  readonly event: OperationEvent
  readonly data: JsonObject
}

/**
 * What ends its worker each time (a file that brings the disk down, a tree that
 * takes all the memory) would do so for ever: this many in a row are enough.
 */
export const LOST_RUNS_MAX = 10

/**
 * Writes how a run ended: status, result, snapshot, the last warnings, the event
 * and the release of what it held, in one commit. Answers `null`, and writes
 * nothing, where the run is not the present one any more. It is the only way
 * out of `running`, so an operation never has two ends.
 */
export async function settleRun(
  room: Room,
  run: RunKey,
  ending: RunEnding,
): Promise<Operation | null> {
  const snapshotId = room.ids.newId()
  const nowMs = room.clock.nowMs()
  const settled = await room.database.write(async (tx) => {
    const stored = await findOperation(tx.sql, run.id)
    if (stored === null || stored.status !== 'running' || stored.attempt !== run.attempt) {
      return null
    }
    const operation =
      ending.batch === null ? stored : { ...stored, progress: ending.batch.progress }
    const warningCount = await saveBatch(tx, operation, ending.batch, nowMs)
    const next = await nextOf(tx, operation, ending, { snapshotId, warningCount, nowMs })
    if (!(await replaceOperation(tx, stored, next.operation))) throw raced(run.id)
    if (next.operation.finishedAtMs !== null) await letGo(tx, next.operation, ending.isDiscarded)
    tx.append(operationEvent(next.operation, next.event, nowMs, next.data))
    return next.operation
  })
  if (settled !== null) room.wake('work', settled.id)
  return settled
}

/** An intent came between reading and writing: the same again, with it. */
const raced = (operationId: string): AppError =>
  new AppError('unavailable', `operation ${operationId} was changed at the same time`, {
    operationId,
  })

async function saveBatch(
  tx: WriteTransaction,
  operation: Operation,
  batch: ReportBatch | null,
  nowMs: number,
): Promise<number> {
  if (batch === null) return countWarnings(tx.sql, operation.id)
  await appendReports(tx, operation, batch, nowMs)
  return batch.warningCount
}

/** The phases and warnings of a batch: into the history, and word for word into their table. */
export async function appendReports(
  tx: WriteTransaction,
  operation: Operation,
  batch: ReportBatch,
  nowMs: number,
): Promise<void> {
  for (const phase of batch.phases) {
    tx.append(operationEvent(operation, 'phase', nowMs, { phase }))
  }
  await appendWarnings(tx, operation.id, { warnings: batch.warnings, total: batch.warningCount })
  const last = batch.warnings.at(-1)
  if (last === undefined) return
  const { code, message, item } = last
  const count = batch.warnings.length
  tx.append(
    operationEvent(operation, 'warning', nowMs, {
      code,
      message,
      item,
      count,
      warningCount: batch.warningCount,
    }),
  )
}

interface EndFacts {
  readonly snapshotId: string
  readonly warningCount: number
  readonly nowMs: number
}

async function nextOf(
  tx: WriteTransaction,
  operation: Operation,
  ending: RunEnding,
  facts: EndFacts,
): Promise<Next> {
  const { end } = ending
  if (end.kind === 'completed') return complete(tx, operation, end.result, facts)
  if (end.kind === 'failed') return fail(operation, end.failure, facts)
  if (end.kind === 'lost') {
    const lostRuns = await countLostRun(tx, operation)
    // What somebody asked for goes first.
    const isGivenUp = lostRuns >= LOST_RUNS_MAX && operation.intent === null
    if (isGivenUp) return fail(operation, workersVanished(lostRuns), facts)
  }
  return stop(tx, operation, ending, end.reason, facts)
}

function fail(operation: Operation, failure: Failure, { nowMs, warningCount }: EndFacts): Next {
  const failed = transition(operation, 'failed', reasons.failed(failure.message), nowMs)
  const next = { ...failed, failure, progress: standing(operation.progress) }
  return withEndData(next, 'failed', warningCount)
}

const workersVanished = (lostRuns: number): Failure => ({
  code: 'internal',
  message:
    `its worker vanished ${lostRuns} times in a row without getting further; see in the log of the ` +
    'server and of its machine what ended it, such as too little memory, then retry',
  details: { lostRuns },
})

async function complete(
  tx: WriteTransaction,
  operation: Operation,
  { result, snapshot: draft, verifiedWell }: EngineResult,
  { snapshotId, warningCount, nowMs }: EndFacts,
): Promise<Next> {
  const isDamaged = verifiedWell === false
  const reason = isDamaged
    ? 'completed: the snapshot is damaged, see the result'
    : reasons.completed(operation, warningCount)
  if (draft !== undefined) {
    const snapshot: Snapshot = {
      ...draft,
      id: snapshotId,
      accountId: operation.accountId,
      sourceId: operation.sourceId ?? operation.id,
      operationId: operation.id,
      warningCount,
      pinned: false,
      verifiedAtMs: null,
      verifiedWell: null,
      createdAtMs: nowMs,
    }
    await insertSnapshot(tx, snapshot)
    tx.append(snapshotEvent(snapshot, 'created', nowMs, { operationId: operation.id }))
  }
  if (verifiedWell !== undefined) await saveVerified(tx, operation, verifiedWell, nowMs)
  const next: Operation = {
    ...transition(operation, 'completed', reason, nowMs),
    outcome: isDamaged ? 'warning' : outcomeOf(warningCount),
    result,
    snapshotId: draft === undefined ? operation.snapshotId : snapshotId,
    poolId: draft?.poolId ?? operation.poolId,
    progress: completed(operation.progress),
    checkpoint: null,
  }
  return withEndData(next, 'completed', warningCount)
}

async function saveVerified(
  tx: WriteTransaction,
  operation: Operation,
  well: boolean,
  nowMs: number,
): Promise<void> {
  if (operation.snapshotId === null || operation.sourceId === null) return
  if (!(await setSnapshotVerified(tx, operation.snapshotId, { atMs: nowMs, well }))) return
  const { accountId, sourceId, snapshotId: id } = operation
  tx.append(snapshotEvent({ id, accountId, sourceId }, 'changed', nowMs, { verifiedWell: well }))
}

async function stop(
  tx: WriteTransaction,
  operation: Operation,
  ending: RunEnding,
  reason: (operation: Operation) => string,
  facts: EndFacts,
): Promise<Next> {
  const standsStill = { ...operation, progress: standing(operation.progress) }
  // The worker of the run stays on record where the run may still go on somewhere.
  const workerId = ending.mayStillRun ? operation.workerId : null
  const become = (to: 'pending' | 'paused' | 'cancelled', why: string): Operation => ({
    ...transition(standsStill, to, why, facts.nowMs),
    workerId,
  })
  if (operation.intent === null) {
    return { operation: become('pending', reason(operation)), event: 'interrupted', data: {} }
  }
  const by = (await findAsker(tx.sql, operation.id)) ?? 'request'
  if (operation.intent === 'pause') {
    return { operation: become('paused', reasons.paused(by)), event: 'paused', data: { by } }
  }
  return withEndData(
    become('cancelled', reasons.cancelled(by)),
    'cancelled',
    facts.warningCount,
    by,
  )
}

const withEndData = (
  operation: Operation,
  event: OperationEvent,
  warningCount: number,
  by?: string,
): Next => ({ operation, event, data: endData(operation, warningCount, by) })

/** What a terminal event says besides the status. */
export function endData(operation: Operation, warningCount: number, by?: string): JsonObject {
  const { outcome, snapshotId, failure, progress } = operation
  return {
    outcome,
    snapshotId,
    warningCount,
    failure: failure === null ? null : { code: failure.code, message: failure.message },
    progress: { ...progress },
    ...(by === undefined ? {} : { by }),
  }
}

/** Releases what an ended operation held, and remembers what is still to be removed. */
export async function letGo(
  tx: WriteTransaction,
  operation: Operation,
  isDiscarded: boolean,
): Promise<void> {
  await releaseHolds(tx, operation.id)
  const leavesSomething = operation.status !== 'completed' && operation.attempt > 0
  if (leavesSomething && !isDiscarded) await rememberDiscard(tx, operation.id)
}
