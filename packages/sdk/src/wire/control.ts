/**
 * The wire shapes of the control API (`/api/v1`): camelCase fields, RFC 3339
 * times in UTC, RFC 9457 errors. What is unknown is `null`.
 */

export type OperationStatus =
  | 'pending'
  | 'running'
  | 'paused'
  | 'completed'
  | 'failed'
  | 'cancelled'
  | 'expired'

export interface ProgressWire {
  phase: string
  bytesDone: number
  bytesTotal: number | null
  itemsDone: number
  itemsTotal: number | null
  currentItem: string | null
  transferredBytes: number
  transferredTotal: number | null
  percent: number | null
  ratePerSecond: number | null
  secondsLeft: number | null
}

export interface FailureWire {
  code: string
  message: string
  details: Record<string, unknown>
}

export interface OperationWire {
  id: string
  accountId: string
  kind: string
  status: OperationStatus
  /** Why it is in this status, in a sentence. */
  statusReason: string
  outcome: 'success' | 'warning' | null
  priority: number
  sourceId: string | null
  snapshotId: string | null
  poolId: string | null
  input: Record<string, unknown>
  result: Record<string, unknown> | null
  error: FailureWire | null
  progress: ProgressWire
  /** A pause or cancel that was asked for and is not yet honoured. */
  intent: 'pause' | 'cancel' | null
  attempt: number
  retryOf: string | null
  resumedCount: number
  bytesNotRedone: number
  createdAt: string
  startedAt: string | null
  updatedAt: string
  finishedAt: string | null
}

export interface SourceWire {
  id: string
  accountId: string
  kind: 'directory' | 'volume' | 'mysql' | 'rsync' | 'index'
  name: string
  deviceId: string | null
  /** Secrets come back as `"***"`. */
  config: Record<string, unknown>
  createdAt: string
}

export interface SnapshotWire {
  id: string
  accountId: string
  sourceId: string
  operationId: string
  poolId: string
  format: string
  /** Size of the archive. */
  bytes: number
  /** Size of what it holds. */
  contentBytes: number
  itemCount: number
  sha256: string
  warningCount: number
  details: Record<string, unknown>
  pinned: boolean
  verifiedAt: string | null
  verifiedWell: boolean | null
  createdAt: string
}

export interface SnapshotEntryWire {
  /** Relative to the snapshot's root, with `/`. */
  path: string
  name: string
  type: 'file' | 'directory' | 'symlink' | 'hardlink' | 'other'
  bytes: number
  mode: number
  modifiedAt: string
  linkTarget: string | null
  sha256: string | null
  /** Set where the name is no UTF-8: its bytes in base64. */
  pathBytes: string | null
}

export interface PoolWire {
  id: string
  name: string
  kind: 'local' | 's3'
  /** `null` where nobody can know. */
  freeBytes: number | null
  usedBytes: number
  snapshotCount: number
  createdAt: string
}

export interface DeviceWire {
  id: string
  accountId: string
  name: string
  createdAt: string
}

export interface AccountWire {
  id: string
  name: string
  quotaBytes: number | null
  createdAt: string
}

export interface TokenWire {
  id: string
  accountId: string
  name: string
  permissions: string[]
  createdAt: string
  expiresAt: string | null
  revokedAt: string | null
}

/** The answer to making a token: the only time it is shown. */
export interface NewTokenWire extends TokenWire {
  token: string
}

export interface EventWire {
  sequence: number
  topic: 'operation' | 'source' | 'snapshot' | 'pool' | 'device'
  topicId: string
  type: string
  at: string
  data: Record<string, unknown>
}

export interface AuditWire {
  id: string
  accountId: string
  actor: string
  action: string
  topic: string
  topicId: string
  data: Record<string, unknown>
  at: string
}

/** Lists answer a page, newest first; `nextCursor` is `null` at the end. */
export interface PageWire<T> {
  items: T[]
  nextCursor: string | null
}

/** RFC 9457, `application/problem+json`. */
export interface ProblemWire {
  type: string
  title: string
  status: number
  detail: string
  /** A word a program can act on: see docs/errors.md. */
  code: string
  details: Record<string, unknown>
  requestId: string
}

export interface WhoAmIWire {
  accountId: string
  name: string
  permissions: string[]
}

/** `GET /api/v1/folders?path=`: lets a person pick a folder of the server. */
export interface FolderWire {
  path: string
  parent: string | null
  folders: { name: string; path: string }[]
}
