import type { Kysely, Selectable } from 'kysely'
import type { Failure } from '../core/errors.ts'
import type { JsonObject } from '../core/json.ts'
import type { OperationKind } from '../core/kinds.ts'
import { type Intent, type Operation, type Status, transition } from '../core/operation.ts'
import type { Outcome } from '../core/outcome.ts'
import type { Progress } from '../core/progress.ts'
import type { Database, WriteTransaction } from './database.ts'
import { type Page, type PageRequest, parseJsonObject, parseJsonWords, readPage } from './rows.ts'
import type { OperationRow, Tables } from './tables.ts'

/** The key a client sent so that a repeated submission is the same one, and what it stood for. */
export interface IdempotencyMark {
  readonly key: string
  /** Of the request, so that the same key with another request is refused. */
  readonly hash: string
}

/**
 * A checkpoint as it is kept. The warnings of work that is done again are said
 * again, so a checkpoint also says how many there were when it was saved.
 */
interface StoredCheckpoint {
  readonly version: 1
  readonly warningCount: number
  readonly engine: JsonObject
}

const parseCheckpoint = (text: string): StoredCheckpoint => JSON.parse(text) as StoredCheckpoint

function toOperation(row: Selectable<OperationRow>): Operation {
  return {
    id: row.id,
    accountId: row.account_id,
    kind: row.kind as OperationKind,
    status: row.status as Status,
    statusReason: row.status_reason,
    outcome: row.outcome as Outcome | null,
    priority: row.priority,
    sourceId: row.source_id,
    snapshotId: row.snapshot_id,
    poolId: row.pool_id,
    subjects: parseJsonWords(row.subjects),
    input: parseJsonObject(row.input),
    result: row.result === null ? null : parseJsonObject(row.result),
    failure: row.failure === null ? null : (JSON.parse(row.failure) as Failure),
    progress: JSON.parse(row.progress) as Progress,
    checkpoint: row.checkpoint === null ? null : parseCheckpoint(row.checkpoint).engine,
    intent: row.intent as Intent | null,
    attempt: row.attempt,
    workerId: row.worker_id,
    retryOf: row.retry_of,
    resumedCount: row.resumed_count,
    bytesNotRedone: row.bytes_not_redone,
    createdAtMs: row.created_at_ms,
    startedAtMs: row.started_at_ms,
    updatedAtMs: row.updated_at_ms,
    finishedAtMs: row.finished_at_ms,
  }
}

/** The columns that change during a life. The checkpoint has its own verbs. */
const toChanges = (operation: Operation) => ({
  status: operation.status,
  status_reason: operation.statusReason,
  outcome: operation.outcome,
  snapshot_id: operation.snapshotId,
  pool_id: operation.poolId,
  result: operation.result === null ? null : JSON.stringify(operation.result),
  failure: operation.failure === null ? null : JSON.stringify(operation.failure),
  progress: JSON.stringify(operation.progress),
  intent: operation.intent,
  attempt: operation.attempt,
  worker_id: operation.workerId,
  resumed_count: operation.resumedCount,
  bytes_not_redone: operation.bytesNotRedone,
  started_at_ms: operation.startedAtMs,
  updated_at_ms: operation.updatedAtMs,
  finished_at_ms: operation.finishedAtMs,
})

/** Answers false, and writes nothing, where the id or the idempotency key is taken. */
export async function insertOperation(
  tx: WriteTransaction,
  operation: Operation,
  idempotency: IdempotencyMark | null,
): Promise<boolean> {
  const inserted = await tx.sql
    .insertInto('operations')
    .values({
      ...toChanges(operation),
      id: operation.id,
      account_id: operation.accountId,
      kind: operation.kind,
      priority: operation.priority,
      source_id: operation.sourceId,
      subjects: JSON.stringify(operation.subjects),
      input: JSON.stringify(operation.input),
      checkpoint: null,
      retry_of: operation.retryOf,
      idempotency_key: idempotency?.key ?? null,
      idempotency_hash: idempotency?.hash ?? null,
      created_at_ms: operation.createdAtMs,
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst()
  return (inserted.numInsertedOrUpdatedRows ?? 0n) > 0n
}

export async function findOperation(sql: Kysely<Tables>, id: string): Promise<Operation | null> {
  const row = await sql.selectFrom('operations').selectAll().where('id', '=', id).executeTakeFirst()
  return row === undefined ? null : toOperation(row)
}

export async function findByIdempotencyKey(
  sql: Kysely<Tables>,
  accountId: string,
  key: string,
): Promise<{ readonly operation: Operation; readonly hash: string | null } | null> {
  const row = await sql
    .selectFrom('operations')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('idempotency_key', '=', key)
    .executeTakeFirst()
  return row === undefined ? null : { operation: toOperation(row), hash: row.idempotency_hash }
}

export interface OperationQuery extends PageRequest {
  /** `null`: of every account. */
  readonly accountId: string | null
  readonly kinds?: readonly OperationKind[]
  readonly statuses?: readonly Status[]
  readonly sourceId?: string
  readonly snapshotId?: string
}

/** Newest first. */
export function listOperations(
  sql: Kysely<Tables>,
  query: OperationQuery,
): Promise<Page<Operation>> {
  let rows = sql.selectFrom('operations').selectAll()
  if (query.accountId !== null) rows = rows.where('account_id', '=', query.accountId)
  if (query.kinds !== undefined) rows = rows.where('kind', 'in', query.kinds)
  if (query.statuses !== undefined) rows = rows.where('status', 'in', query.statuses)
  if (query.sourceId !== undefined) rows = rows.where('source_id', '=', query.sourceId)
  if (query.snapshotId !== undefined) rows = rows.where('snapshot_id', '=', query.snapshotId)
  return readPage(rows, query, toOperation)
}

/**
 * Replaces a record that still is what the caller read: the same status, run and
 * intent. Answers false where somebody was faster; read it again then.
 */
export async function replaceOperation(
  tx: WriteTransaction,
  previous: Operation,
  next: Operation,
): Promise<boolean> {
  const forgets = previous.checkpoint !== null && next.checkpoint === null
  let query = tx.sql
    .updateTable('operations')
    .set({ ...toChanges(next), ...(forgets ? { checkpoint: null } : {}) })
    .where('id', '=', previous.id)
    .where('status', '=', previous.status)
    .where('attempt', '=', previous.attempt)
  query =
    previous.intent === null
      ? query.where('intent', 'is', null)
      : query.where('intent', '=', previous.intent)
  const updated = await query.executeTakeFirst()
  return updated.numUpdatedRows > 0n
}

export interface Claim {
  readonly operation: Operation
  /** Warnings that were given up to the checkpoint; later ones belong to work that is done again. */
  readonly warningCount: number
  /** The worker of the last run where nobody could tell that the run had ended. */
  readonly predecessorId: string | null
}

export interface ClaimRequest {
  readonly dialect: Database['dialect']
  readonly workerId: string
  readonly statusReason: (waiting: Operation) => string
  readonly nowMs: number
  /** Kinds of which this worker runs as many as it may. */
  readonly kindsFull: readonly OperationKind[]
}

/** Takes the waiting operation of the highest priority, among equals the oldest, and raises its `attempt`. */
export async function claimNext(
  tx: WriteTransaction,
  request: ClaimRequest,
): Promise<Claim | null> {
  let query = tx.sql
    .selectFrom('operations')
    .selectAll()
    .where('status', '=', 'pending')
    .orderBy('priority', 'desc')
    .orderBy('created_at_ms')
    .orderBy('id')
    .limit(1)
  if (request.kindsFull.length > 0) query = query.where('kind', 'not in', request.kindsFull)
  if (request.dialect === 'postgres') query = query.forUpdate().skipLocked()
  const row = await query.executeTakeFirst()
  if (row === undefined) return null
  const waiting = toOperation(row)
  const operation = {
    ...transition(
      { ...waiting, workerId: request.workerId },
      'running',
      request.statusReason(waiting),
      request.nowMs,
    ),
    attempt: waiting.attempt + 1,
  }
  if (!(await replaceOperation(tx, waiting, operation))) return null
  return {
    operation,
    warningCount: row.checkpoint === null ? 0 : parseCheckpoint(row.checkpoint).warningCount,
    predecessorId: waiting.workerId,
  }
}

export async function hasPending(sql: Kysely<Tables>): Promise<boolean> {
  const row = await sql
    .selectFrom('operations')
    .select('id')
    .where('status', '=', 'pending')
    .limit(1)
    .executeTakeFirst()
  return row !== undefined
}

/** One run: every write of it carries the `attempt` as its fencing token. */
export interface RunKey {
  readonly id: string
  readonly attempt: number
}

/** Answers false where the run has lost its lease. */
export async function saveProgress(
  tx: WriteTransaction,
  run: RunKey & { readonly progress: Progress; readonly nowMs: number },
): Promise<boolean> {
  const updated = await tx.sql
    .updateTable('operations')
    .set({ progress: JSON.stringify(run.progress), updated_at_ms: run.nowMs })
    .where('id', '=', run.id)
    .where('attempt', '=', run.attempt)
    .where('status', '=', 'running')
    .executeTakeFirst()
  return updated.numUpdatedRows > 0n
}

/** Answers false where the run has lost its lease. `null` forgets the checkpoint. */
export async function saveCheckpoint(
  tx: WriteTransaction,
  run: RunKey & { readonly checkpoint: JsonObject | null; readonly warningCount?: number },
): Promise<boolean> {
  const stored: StoredCheckpoint | null =
    run.checkpoint === null
      ? null
      : { version: 1, warningCount: run.warningCount ?? 0, engine: run.checkpoint }
  const text = stored === null ? null : JSON.stringify(stored)
  const updated = await tx.sql
    .updateTable('operations')
    .set((eb) => ({
      checkpoint: text,
      // Who saves what was saved already, or takes it back, has not got further.
      lost_runs:
        text === null
          ? eb.ref('lost_runs')
          : eb.case().when('checkpoint', '=', text).then(eb.ref('lost_runs')).else(0).end(),
    }))
    .where('id', '=', run.id)
    .where('attempt', '=', run.attempt)
    .where('status', '=', 'running')
    .executeTakeFirst()
  return updated.numUpdatedRows > 0n
}

/** Counts a run that was lost with its worker; answers how many were in a row, without getting further. */
export async function countLostRun(tx: WriteTransaction, run: RunKey): Promise<number> {
  const updated = await tx.sql
    .updateTable('operations')
    .set((eb) => ({ lost_runs: eb('lost_runs', '+', 1) }))
    .where('id', '=', run.id)
    .where('attempt', '=', run.attempt)
    .returning('lost_runs')
    .executeTakeFirst()
  return updated?.lost_runs ?? 0
}

/** Records what a checkpoint saved a run from doing again. Answers false where it has lost its lease. */
export async function saveResumed(
  tx: WriteTransaction,
  run: RunKey & {
    readonly resumedCount: number
    readonly bytesNotRedone: number
    readonly statusReason: string
  },
): Promise<boolean> {
  const updated = await tx.sql
    .updateTable('operations')
    .set((eb) => ({
      resumed_count: run.resumedCount,
      bytes_not_redone: run.bytesNotRedone,
      // What was asked of the run meanwhile is the better reason.
      status_reason: eb
        .case()
        .when('intent', 'is', null)
        .then(run.statusReason)
        .else(eb.ref('status_reason'))
        .end(),
    }))
    .where('id', '=', run.id)
    .where('attempt', '=', run.attempt)
    .where('status', '=', 'running')
    .executeTakeFirst()
  return updated.numUpdatedRows > 0n
}

/** Where runs stand: whether they are still the present ones, and what was asked of them. */
export async function runStates(
  sql: Kysely<Tables>,
  ids: readonly string[],
): Promise<readonly (RunKey & { readonly status: Status; readonly intent: Intent | null })[]> {
  if (ids.length === 0) return []
  const rows = await sql
    .selectFrom('operations')
    .select(['id', 'attempt', 'status', 'intent'])
    .where('id', 'in', ids)
    .execute()
  return rows.map((row) => ({
    id: row.id,
    attempt: row.attempt,
    status: row.status as Status,
    intent: row.intent as Intent | null,
  }))
}

/** The runs that the records show, and whose they are. */
export async function listRunning(
  sql: Kysely<Tables>,
): Promise<readonly (RunKey & { readonly workerId: string | null })[]> {
  const rows = await sql
    .selectFrom('operations')
    .select(['id', 'attempt', 'worker_id'])
    .where('status', '=', 'running')
    .execute()
  return rows.map((row) => ({ id: row.id, attempt: row.attempt, workerId: row.worker_id }))
}

/** Every earlier process is gone: nothing that waits has a run that may still go on somewhere. */
export async function forgetPredecessors(tx: WriteTransaction): Promise<void> {
  await tx.sql
    .updateTable('operations')
    .set({ worker_id: null })
    .where('status', 'in', ['pending', 'paused'])
    .where('worker_id', 'is not', null)
    .execute()
}

/** Who asked last for a pause or cancel, as the history tells it. */
export async function findAsker(sql: Kysely<Tables>, operationId: string): Promise<string | null> {
  const row = await sql
    .selectFrom('events')
    .select('data')
    .where('topic', '=', 'operation')
    .where('topic_id', '=', operationId)
    .where('type', '=', 'intent')
    .orderBy('sequence', 'desc')
    .limit(1)
    .executeTakeFirst()
  const by = row === undefined ? null : parseJsonObject(row.data)['by']
  return typeof by === 'string' ? by : null
}
