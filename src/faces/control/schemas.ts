import type {
  AccountWire,
  AuditWire,
  DeviceWire,
  EventWire,
  FolderWire,
  NewTokenWire,
  OperationWire,
  PoolWire,
  ProblemWire,
  ProgressWire,
  SnapshotEntryWire,
  SnapshotWire,
  SourceWire,
  TokenWire,
  WhoAmIWire,
} from '@holdfast/sdk/wire/control'
import { z } from 'zod'
import { TOPICS } from '../../core/events.ts'
import { SOURCE_KINDS } from '../../core/kinds.ts'
import { STATUSES, type Status } from '../../core/operation.ts'
import { OUTCOMES } from '../../core/outcome.ts'

/**
 * What the control API answers, for the OpenAPI document and for the answers
 * themselves: a field that is not here is never sent. Each is the schema of a
 * wire type of the SDK, which the compiler keeps equal.
 */
type Schema<Wire> = z.ZodType<Wire, Wire>

const time = z.iso.datetime().describe('RFC 3339, in UTC.')
const whole = z.number().int()
const object = z.record(z.string(), z.unknown())

export const progressSchema = z.object({
  phase: z.string(),
  bytesDone: whole,
  bytesTotal: whole.nullable(),
  itemsDone: whole,
  itemsTotal: whole.nullable(),
  currentItem: z.string().nullable(),
  transferredBytes: whole,
  transferredTotal: whole.nullable(),
  percent: whole.nullable(),
  ratePerSecond: z.number().nullable(),
  secondsLeft: whole.nullable(),
}) satisfies Schema<ProgressWire>

export const operationSchema = z
  .object({
    id: z.string(),
    accountId: z.string(),
    kind: z.string(),
    status: z.enum(STATUSES as readonly [Status, ...Status[]]),
    statusReason: z.string().describe('Why it is in this status, in a sentence.'),
    outcome: z.enum(OUTCOMES).nullable(),
    priority: whole,
    sourceId: z.string().nullable(),
    snapshotId: z.string().nullable(),
    poolId: z.string().nullable(),
    input: object,
    result: object.nullable(),
    error: z.object({ code: z.string(), message: z.string(), details: object }).nullable(),
    progress: progressSchema,
    intent: z.enum(['pause', 'cancel']).nullable(),
    attempt: whole,
    retryOf: z.string().nullable(),
    resumedCount: whole,
    bytesNotRedone: whole,
    createdAt: time,
    startedAt: time.nullable(),
    updatedAt: time,
    finishedAt: time.nullable(),
  })
  .meta({ id: 'Operation' }) satisfies Schema<OperationWire>

export const eventSchema = z
  .object({
    sequence: whole,
    topic: z.enum(TOPICS),
    topicId: z.string(),
    type: z.string(),
    at: time,
    data: object,
  })
  .meta({ id: 'Event' }) satisfies Schema<EventWire>

export const warningSchema = z
  .object({
    number: whole,
    code: z.string(),
    message: z.string(),
    item: z.string().nullable(),
  })
  .meta({ id: 'Warning' })

export const sourceSchema = z
  .object({
    id: z.string(),
    accountId: z.string(),
    kind: z.enum(SOURCE_KINDS),
    name: z.string(),
    deviceId: z.string().nullable(),
    config: object.describe('Secrets come back as `"***"`.'),
    createdAt: time,
  })
  .meta({ id: 'Source' }) satisfies Schema<SourceWire>

export const snapshotSchema = z
  .object({
    id: z.string(),
    accountId: z.string(),
    sourceId: z.string(),
    operationId: z.string(),
    poolId: z.string(),
    format: z.string(),
    bytes: whole.describe('Size of the archive.'),
    contentBytes: whole.describe('Size of what it holds.'),
    itemCount: whole,
    sha256: z.string(),
    warningCount: whole,
    details: object,
    pinned: z.boolean(),
    verifiedAt: time.nullable(),
    verifiedWell: z.boolean().nullable(),
    createdAt: time,
  })
  .meta({ id: 'Snapshot' }) satisfies Schema<SnapshotWire>

export const entrySchema = z
  .object({
    path: z.string(),
    name: z.string(),
    type: z.enum(['file', 'directory', 'symlink', 'hardlink', 'other']),
    bytes: whole,
    mode: whole,
    modifiedAt: time,
    linkTarget: z.string().nullable(),
    sha256: z.string().nullable(),
    pathBytes: z.string().nullable(),
  })
  .meta({ id: 'SnapshotEntry' }) satisfies Schema<SnapshotEntryWire>

export const poolSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    kind: z.enum(['local', 's3']),
    freeBytes: whole.nullable(),
    usedBytes: whole,
    snapshotCount: whole,
    createdAt: time,
  })
  .meta({ id: 'Pool' }) satisfies Schema<PoolWire>

export const deviceSchema = z
  .object({ id: z.string(), accountId: z.string(), name: z.string(), createdAt: time })
  .meta({ id: 'Device' }) satisfies Schema<DeviceWire>

export const accountSchema = z
  .object({ id: z.string(), name: z.string(), quotaBytes: whole.nullable(), createdAt: time })
  .meta({ id: 'Account' }) satisfies Schema<AccountWire>

const token = {
  id: z.string(),
  accountId: z.string(),
  name: z.string(),
  permissions: z.array(z.string()),
  createdAt: time,
  expiresAt: time.nullable(),
  revokedAt: time.nullable(),
}

export const tokenSchema = z.object(token).meta({ id: 'Token' }) satisfies Schema<TokenWire>

export const newTokenSchema = z
  .object({ ...token, token: z.string().describe('Shown this once, and not kept.') })
  .meta({ id: 'NewToken' }) satisfies Schema<NewTokenWire>

export const auditSchema = z
  .object({
    id: z.string(),
    accountId: z.string(),
    actor: z.string(),
    action: z.string(),
    topic: z.string(),
    topicId: z.string(),
    data: object,
    at: time,
  })
  .meta({ id: 'AuditEntry' }) satisfies Schema<AuditWire>

export const whoAmISchema = z
  .object({ accountId: z.string(), name: z.string(), permissions: z.array(z.string()) })
  .meta({ id: 'WhoAmI' }) satisfies Schema<WhoAmIWire>

export const folderSchema = z
  .object({
    path: z.string(),
    parent: z.string().nullable(),
    folders: z.array(z.object({ name: z.string(), path: z.string() })),
  })
  .meta({ id: 'Folder' }) satisfies Schema<FolderWire>

const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: whole,
    detail: z.string(),
    code: z.string(),
    details: object,
    requestId: z.string(),
  })
  .meta({ id: 'Problem' }) satisfies Schema<ProblemWire>

export const pageOf = <T extends z.ZodType>(item: T) =>
  z.object({ items: z.array(item), nextCursor: z.string().nullable() })

const problem = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: problemSchema } },
})

/** What any route may answer besides what it is for. */
export const PROBLEMS = {
  '4xx': problem('Refused: `code` and `detail` say why. See docs/errors.md.'),
  '5xx': problem('Failed.'),
}

export const idParams = z.object({ id: z.string().min(1).max(128) })
