import type { Generated } from 'kysely'

/**
 * The columns as both dialects keep them: identifiers in snake_case, times as
 * whole milliseconds since 1970 UTC, flags as 0 and 1, JSON as text. The
 * modules of this folder turn rows into the records of core/ and back; nobody
 * else sees a row.
 */
export interface Tables {
  accounts: AccountRow
  devices: DeviceRow
  sources: SourceRow
  pools: PoolRow
  snapshots: SnapshotRow
  /** Snapshots whose record is gone and whose objects are still to be removed. */
  removals: RemovalRow
  operations: OperationRow
  /** Which live operation holds a subject: one row a subject, gone when the operation ends. */
  holds: HoldRow
  events: EventRow
  warnings: WarningRow
  workers: WorkerRow
  tokens: TokenRow
  audit: AuditRow
}

export interface AccountRow {
  id: string
  name: string
  quota_bytes: number | null
  created_at_ms: number
}

export interface DeviceRow {
  id: string
  account_id: string
  name: string
  created_at_ms: number
}

export interface SourceRow {
  id: string
  account_id: string
  kind: string
  name: string
  device_id: string | null
  config: string
  created_at_ms: number
}

export interface PoolRow {
  id: string
  /** `null`: everybody of this server may use it. */
  account_id: string | null
  name: string
  kind: string
  config: string
  created_at_ms: number
}

export interface SnapshotRow {
  id: string
  account_id: string
  source_id: string
  operation_id: string
  pool_id: string
  format: string
  key: string
  bytes: number
  content_bytes: number
  item_count: number
  sha256: string
  warning_count: number
  details: string
  pinned: number
  verified_at_ms: number | null
  verified_well: number | null
  created_at_ms: number
}

export interface RemovalRow {
  id: string
  /** JSON: the record as it was, for what removes its objects. */
  snapshot: string
}

export interface OperationRow {
  id: string
  account_id: string
  kind: string
  status: string
  status_reason: string
  outcome: string | null
  priority: number
  source_id: string | null
  snapshot_id: string | null
  pool_id: string | null
  /** JSON list. */
  subjects: string
  input: string
  result: string | null
  failure: string | null
  progress: string
  checkpoint: string | null
  intent: string | null
  attempt: number
  worker_id: string | null
  retry_of: string | null
  resumed_count: number
  bytes_not_redone: number
  /** In a row, without one of them having saved a checkpoint that was new. */
  lost_runs: Generated<number>
  /** Unique within an account; the hash of the request it came with stands beside it. */
  idempotency_key: string | null
  idempotency_hash: string | null
  created_at_ms: number
  started_at_ms: number | null
  updated_at_ms: number
  finished_at_ms: number | null
}

export interface HoldRow {
  subject: string
  operation_id: string
}

export interface EventRow {
  sequence: Generated<number>
  topic: string
  topic_id: string
  account_id: string
  type: string
  at_ms: number
  data: string
}

export interface WarningRow {
  operation_id: string
  number: number
  code: string
  message: string
  item: string | null
}

export interface WorkerRow {
  id: string
  host: string
  /** With `boot_id` it tells whether the process is certainly gone. */
  pid: number
  boot_id: string
  /** Rises with every sign of life; read against the watcher's own clock, never against a time. */
  beat: number
  started_at_ms: number
}

export interface TokenRow {
  id: string
  account_id: string
  name: string
  /** SHA-256 of the token; the token itself is shown once and not kept. */
  token_sha256: string
  permissions: string
  created_at_ms: number
  expires_at_ms: number | null
  revoked_at_ms: number | null
}

export interface AuditRow {
  id: string
  account_id: string
  actor: string
  action: string
  topic: string
  topic_id: string
  data: string
  at_ms: number
}
