import type {
  AccountWire,
  AuditWire,
  DeviceWire,
  EventWire,
  OperationWire,
  PoolWire,
  ProblemWire,
  ProgressWire,
  SnapshotEntryWire,
  SnapshotWire,
  SourceWire,
  TokenWire,
} from '@holdfast/sdk/wire/control'
import type { Audit } from '../../auth/audit.ts'
import type { NewToken } from '../../auth/tokens.ts'
import type { Snapshots } from '../../catalog/snapshots.ts'
import type { Account } from '../../core/account.ts'
import type { AppError } from '../../core/errors.ts'
import type { LoggedEvent } from '../../core/events.ts'
import type { Operation } from '../../core/operation.ts'
import type { Progress } from '../../core/progress.ts'
import type { Snapshot } from '../../core/snapshot.ts'
import type { Device, Source } from '../../core/source.ts'
import type { PoolView } from '../../pools/pools.ts'
import { shortInput } from './operation-input.ts'

/** RFC 3339 in UTC. */
export const toTime = (atMs: number): string => new Date(atMs).toISOString()

export const toTimeOrNull = (atMs: number | null): string | null =>
  atMs === null ? null : toTime(atMs)

export const toProgressWire = (progress: Progress): ProgressWire =>
  ({
    phase: progress.phase,
    bytesDone: progress.bytesDone,
    bytesTotal: progress.bytesTotal,
    itemsDone: progress.itemsDone,
    itemsTotal: progress.itemsTotal,
    currentItem: progress.currentItem,
    transferredBytes: progress.transferredBytes,
    transferredTotal: progress.transferredTotal,
    percent: progress.percent,
    ratePerSecond: progress.ratePerSecond,
    secondsLeft: progress.secondsLeft,
  }) satisfies ProgressWire

export const toOperationWire = (operation: Operation): OperationWire =>
  ({
    id: operation.id,
    accountId: operation.accountId,
    kind: operation.kind,
    status: operation.status,
    statusReason: operation.statusReason,
    outcome: operation.outcome,
    priority: operation.priority,
    sourceId: operation.sourceId,
    snapshotId: operation.snapshotId,
    poolId: operation.poolId,
    input: { ...operation.input },
    result: operation.result === null ? null : { ...operation.result },
    error:
      operation.failure === null
        ? null
        : {
            code: operation.failure.code,
            message: operation.failure.message,
            details: { ...operation.failure.details },
          },
    progress: toProgressWire(operation.progress),
    intent: operation.intent,
    attempt: operation.attempt,
    retryOf: operation.retryOf,
    resumedCount: operation.resumedCount,
    bytesNotRedone: operation.bytesNotRedone,
    createdAt: toTime(operation.createdAtMs),
    startedAt: toTimeOrNull(operation.startedAtMs),
    updatedAt: toTime(operation.updatedAtMs),
    finishedAt: toTimeOrNull(operation.finishedAtMs),
  }) satisfies OperationWire

/** In lists and in the live feed, where one long input would come again and again. */
export const toShortOperationWire = (operation: Operation): OperationWire => ({
  ...toOperationWire(operation),
  input: shortInput(operation.input),
})

export const toEventWire = (event: LoggedEvent): EventWire =>
  ({
    sequence: event.sequence,
    topic: event.topic,
    topicId: event.topicId,
    type: event.type,
    at: toTime(event.atMs),
    data: { ...event.data },
  }) satisfies EventWire

/** The source as the catalog answers it: with `***` for each secret. */
export const toSourceWire = (source: Source): SourceWire =>
  ({
    id: source.id,
    accountId: source.accountId,
    kind: source.kind,
    name: source.name,
    deviceId: source.deviceId,
    config: { ...source.config },
    createdAt: toTime(source.createdAtMs),
  }) satisfies SourceWire

export const toSnapshotWire = (snapshot: Snapshot): SnapshotWire =>
  ({
    id: snapshot.id,
    accountId: snapshot.accountId,
    sourceId: snapshot.sourceId,
    operationId: snapshot.operationId,
    poolId: snapshot.poolId,
    format: snapshot.format,
    bytes: snapshot.bytes,
    contentBytes: snapshot.contentBytes,
    itemCount: snapshot.itemCount,
    sha256: snapshot.sha256,
    warningCount: snapshot.warningCount,
    details: { ...snapshot.details },
    pinned: snapshot.pinned,
    verifiedAt: toTimeOrNull(snapshot.verifiedAtMs),
    verifiedWell: snapshot.verifiedWell,
    createdAt: toTime(snapshot.createdAtMs),
  }) satisfies SnapshotWire

type TokenRecord = NewToken['record']
type AuditEntry = Awaited<ReturnType<Audit['list']>>['items'][number]
type SnapshotEntry = Awaited<ReturnType<Snapshots['browse']>>['entries'][number]

export const toEntryWire = (entry: SnapshotEntry): SnapshotEntryWire =>
  ({
    path: entry.path,
    name: entry.path.slice(entry.path.lastIndexOf('/') + 1),
    type: entry.type,
    bytes: entry.bytes,
    mode: entry.mode,
    modifiedAt: toTime(clampTime(entry.modifiedAtMs)),
    linkTarget: entry.linkTarget,
    sha256: entry.sha256,
    pathBytes: entry.pathBytes,
  }) satisfies SnapshotEntryWire

/** A file may carry any time at all; a `Date` holds 8.64e15 ms each way, RFC 3339 four digits of a year. */
const clampTime = (atMs: number): number =>
  Number.isFinite(atMs) ? Math.trunc(Math.min(Math.max(atMs, TIME_MIN_MS), TIME_MAX_MS)) : 0

const TIME_MIN_MS = Date.UTC(1, 0, 1)
const TIME_MAX_MS = Date.UTC(9999, 11, 31)

export const toPoolWire = (pool: PoolView): PoolWire =>
  ({
    id: pool.id,
    name: pool.name,
    kind: pool.kind === 's3' ? 's3' : 'local',
    freeBytes: pool.freeBytes,
    usedBytes: pool.usedBytes,
    snapshotCount: pool.snapshotCount,
    createdAt: toTime(pool.createdAtMs),
  }) satisfies PoolWire

export const toDeviceWire = (device: Device): DeviceWire =>
  ({
    id: device.id,
    accountId: device.accountId,
    name: device.name,
    createdAt: toTime(device.createdAtMs),
  }) satisfies DeviceWire

export const toAccountWire = (account: Account): AccountWire =>
  ({
    id: account.id,
    name: account.name,
    quotaBytes: account.quotaBytes,
    createdAt: toTime(account.createdAtMs),
  }) satisfies AccountWire

export const toTokenWire = (token: TokenRecord): TokenWire =>
  ({
    id: token.id,
    accountId: token.accountId,
    name: token.name,
    permissions: [...token.permissions],
    createdAt: toTime(token.createdAtMs),
    expiresAt: toTimeOrNull(token.expiresAtMs),
    revokedAt: toTimeOrNull(token.revokedAtMs),
  }) satisfies TokenWire

export const toAuditWire = (entry: AuditEntry): AuditWire =>
  ({
    id: entry.id,
    accountId: entry.accountId,
    actor: entry.actor,
    action: entry.action,
    topic: entry.topic,
    topicId: entry.topicId,
    data: { ...entry.data },
    at: toTime(entry.atMs),
  }) satisfies AuditWire

const TITLES = {
  invalid: 'Not a valid request',
  unauthenticated: 'Not signed in',
  forbidden: 'Not allowed',
  not_found: 'Not found',
  conflict: 'In conflict with the present state',
  too_large: 'Too large',
  damaged: 'Damaged or not matching',
  rate_limited: 'Too many requests',
  internal: 'Internal error',
  unavailable: 'Not available now',
  no_room: 'Not enough room',
} as const satisfies Record<AppError['code'], string>

/** RFC 9457. The codes are listed in docs/errors.md. */
export const toProblem = (answer: {
  error: AppError
  status: number
  requestId: string
}): ProblemWire =>
  ({
    type: `urn:holdfast:error:${answer.error.code}`,
    title: TITLES[answer.error.code],
    status: answer.status,
    detail: answer.error.message,
    code: answer.error.code,
    details: { ...answer.error.details },
    requestId: answer.requestId,
  }) satisfies ProblemWire

export const toWarningWire = (warning: {
  readonly number: number
  readonly code: string
  readonly message: string
  readonly item: string | null
}) => ({
  number: warning.number,
  code: warning.code,
  message: warning.message,
  item: warning.item,
})
