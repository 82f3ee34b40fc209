import { createHash } from 'node:crypto'
import { AppError, poolNotFound, snapshotNotFound, sourceNotFound } from '../core/errors.ts'
import { isUuid } from '../core/ids.ts'
import type { Json, JsonObject } from '../core/json.ts'
import { OPERATION_KINDS, type OperationKind } from '../core/kinds.ts'
import { PRIORITY_DEFAULT, PRIORITY_MAX } from '../core/operation.ts'
import type { Snapshot } from '../core/snapshot.ts'
import type { Source } from '../core/source.ts'
import type { Database } from '../store/database.ts'
import { findSnapshot } from '../store/snapshots.ts'
import { findSource } from '../store/sources.ts'

export interface SubmitRequest {
  readonly kind: OperationKind
  readonly sourceId?: string
  readonly snapshotId?: string
  readonly poolId?: string
  readonly input?: JsonObject
  /** 0..100; higher runs first. */
  readonly priority?: number
  /** The same key with the same request is the same operation, however often it is sent. */
  readonly idempotencyKey?: string
  readonly retryOf?: string
  /** A uuid that a face has chosen. */
  readonly id?: string
}

/** A request that is well formed, with what it says twice said once. */
export interface ParsedRequest extends SubmitRequest {
  readonly input: JsonObject
  readonly priority: number
}

export const IDEMPOTENCY_KEY_LENGTH_MAX = 255
/** As JSON in UTF-8. It is kept with the operation for good, and sent with every answer about it. */
export const INPUT_BYTES_MAX = 64 * 1024
export const INPUT_LEVELS_MAX = 20

export function parseRequest(request: SubmitRequest): ParsedRequest {
  const { kind, id, idempotencyKey: key, priority = PRIORITY_DEFAULT } = request
  if (!OPERATION_KINDS.includes(kind)) {
    throw invalid(
      `no kind of operation: ${JSON.stringify(kind)}; take one of ${OPERATION_KINDS.join(', ')}`,
    )
  }
  if (!Number.isInteger(priority) || priority < 0 || priority > PRIORITY_MAX) {
    throw invalid(`a priority is a whole number from 0 to ${PRIORITY_MAX}, not ${priority}`)
  }
  if (id !== undefined && !isUuid(id)) {
    throw invalid(`an operation id is a uuid, not ${JSON.stringify(id.slice(0, 60))}`)
  }
  if (key !== undefined && (key.length === 0 || key.length > IDEMPOTENCY_KEY_LENGTH_MAX)) {
    throw invalid(
      `an Idempotency-Key has 1 to ${IDEMPOTENCY_KEY_LENGTH_MAX} characters, not ${key.length}`,
    )
  }
  if (kind === 'backup' && request.sourceId === undefined) {
    throw invalid('sourceId is missing: a backup names the source that it protects')
  }
  const parsed = { ...request, priority, input: request.input ?? {} }
  assertInputSize(parsed.input)
  return liftSnapshot(id === undefined ? parsed : { ...parsed, id: id.toLowerCase() })
}

function assertInputSize(input: JsonObject): void {
  // Level by level: a recursion over what anybody sends could overflow the stack.
  let level: readonly Json[] = [input]
  for (let depth = 1; level.length > 0; depth += 1) {
    if (depth > INPUT_LEVELS_MAX) {
      throw invalid(`input is nested deeper than ${INPUT_LEVELS_MAX} levels: make it flatter`)
    }
    level = level.flatMap((value) => Object.values(value ?? {}).filter(isNested))
  }
  const bytes = Buffer.byteLength(JSON.stringify(input))
  if (bytes <= INPUT_BYTES_MAX) return
  throw new AppError(
    'too_large',
    `input has ${bytes} bytes as JSON and may have ${INPUT_BYTES_MAX}: name folders or patterns instead of many paths`,
    { bytes, bytesMax: INPUT_BYTES_MAX },
  )
}

const isNested = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null

/** A snapshot may be named beside the input or within it; afterwards it is named in both. */
function liftSnapshot(request: ParsedRequest): ParsedRequest {
  const within = request.input['snapshotId']
  if (within !== undefined && typeof within !== 'string') {
    throw invalid('input.snapshotId is the id of a snapshot: a string')
  }
  const snapshotId = request.snapshotId ?? within
  if (snapshotId === undefined) return request
  if (within !== undefined && within !== snapshotId) {
    throw invalid(
      `snapshotId says ${snapshotId}, input.snapshotId says ${within}: name one snapshot`,
    )
  }
  return { ...request, snapshotId, input: { ...request.input, snapshotId } }
}

const invalid = (message: string): AppError => new AppError('invalid', message)

/** Tells whether a key comes again with the same request. */
export function hashRequest(request: ParsedRequest): string {
  const { idempotencyKey: _, ...what } = request
  return createHash('sha256')
    .update(canonical(what as JsonObject))
    .digest('hex')
}

function canonical(value: Json | undefined): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value ?? null)
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  const entries = Object.entries(value).filter(([, entry]) => entry !== undefined)
  const sorted = entries.sort(([left], [right]) => (left < right ? -1 : 1))
  return `{${sorted.map(([key, entry]) => `${JSON.stringify(key)}:${canonical(entry)}`).join(',')}}`
}

export interface Subject {
  readonly source: Source | null
  readonly snapshot: Snapshot | null
}

/** Reads what a request names. What the account may not see is not there: `accountId` `null` sees all. */
export async function readSubject(
  sql: Database['sql'],
  request: ParsedRequest,
  accountId: string | null,
): Promise<Subject> {
  const isHidden = (owner: string) => accountId !== null && owner !== accountId
  const { snapshotId } = request
  const snapshot = snapshotId === undefined ? null : await findSnapshot(sql, snapshotId)
  if (snapshotId !== undefined && (snapshot === null || isHidden(snapshot.accountId))) {
    throw snapshotNotFound(snapshotId)
  }
  const sourceId = request.sourceId ?? snapshot?.sourceId
  const source = sourceId === undefined ? null : await findSource(sql, sourceId)
  // A snapshot outlives its source: it can still be restored elsewhere, and verified.
  const isNeeded = request.sourceId !== undefined
  if (source === null ? isNeeded : isHidden(source.accountId)) throw sourceNotFound(sourceId ?? '')
  if (
    snapshot !== null &&
    request.sourceId !== undefined &&
    snapshot.sourceId !== request.sourceId
  ) {
    throw invalid(
      `snapshot ${snapshot.id} is of source ${snapshot.sourceId}, not ${request.sourceId}`,
    )
  }
  return { source, snapshot }
}

/** Refuses a pool of somebody else. Whether there is one of that id, its engine finds out. */
export async function assertPoolVisible(
  sql: Database['sql'],
  poolId: string,
  accountId: string,
): Promise<void> {
  const row = await sql
    .selectFrom('pools')
    .select('account_id')
    .where('id', '=', poolId)
    .executeTakeFirst()
  if (row !== undefined && row.account_id !== null && row.account_id !== accountId) {
    throw poolNotFound(poolId)
  }
}
