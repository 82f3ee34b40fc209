import type { Kysely } from 'kysely'
import type { Snapshot } from '../core/snapshot.ts'
import type { WriteTransaction } from './database.ts'
import { assertInserted, type Page, type PageRequest, parseJsonObject, readPage } from './rows.ts'
import type { SnapshotRow, Tables } from './tables.ts'

export interface SnapshotQuery extends PageRequest {
  /** `null` lists those of every account. */
  readonly accountId: string | null
  readonly sourceId?: string
  readonly poolId?: string
}

/** Throws `conflict` when there is one of that id. */
export async function insertSnapshot(tx: WriteTransaction, snapshot: Snapshot): Promise<void> {
  const added = await tx.sql
    .insertInto('snapshots')
    .values(toRow(snapshot))
    .onConflict((conflict) => conflict.column('id').doNothing())
    .executeTakeFirst()
  assertInserted(added, 'snapshot', snapshot.id)
}

export async function findSnapshot(sql: Kysely<Tables>, id: string): Promise<Snapshot | null> {
  const row = await sql.selectFrom('snapshots').selectAll().where('id', '=', id).executeTakeFirst()
  return row === undefined ? null : toSnapshot(row)
}

/** The snapshot that this backup made, or `null`. */
export async function findSnapshotOf(
  sql: Kysely<Tables>,
  operationId: string,
): Promise<Snapshot | null> {
  const row = await sql
    .selectFrom('snapshots')
    .selectAll()
    .where('operation_id', '=', operationId)
    .executeTakeFirst()
  return row === undefined ? null : toSnapshot(row)
}

export function listSnapshots(sql: Kysely<Tables>, query: SnapshotQuery): Promise<Page<Snapshot>> {
  let rows = sql.selectFrom('snapshots').selectAll()
  if (query.accountId !== null) rows = rows.where('account_id', '=', query.accountId)
  if (query.sourceId !== undefined) rows = rows.where('source_id', '=', query.sourceId)
  if (query.poolId !== undefined) rows = rows.where('pool_id', '=', query.poolId)
  return readPage(rows, query, toSnapshot)
}

/** Answers `false` when the snapshot is gone. */
export async function setSnapshotVerified(
  tx: WriteTransaction,
  id: string,
  verified: { readonly atMs: number; readonly well: boolean },
): Promise<boolean> {
  const changed = await tx.sql
    .updateTable('snapshots')
    .set({ verified_at_ms: verified.atMs, verified_well: verified.well ? 1 : 0 })
    .where('id', '=', id)
    .executeTakeFirst()
  return changed.numUpdatedRows > 0n
}

/** Answers `false` when the snapshot is gone. */
export async function setSnapshotPinned(
  tx: WriteTransaction,
  id: string,
  pinned: boolean,
): Promise<boolean> {
  const changed = await tx.sql
    .updateTable('snapshots')
    .set({ pinned: pinned ? 1 : 0 })
    .where('id', '=', id)
    .executeTakeFirst()
  return changed.numUpdatedRows > 0n
}

export async function deleteSnapshot(tx: WriteTransaction, id: string): Promise<boolean> {
  const gone = await tx.sql.deleteFrom('snapshots').where('id', '=', id).executeTakeFirst()
  return gone.numDeletedRows > 0n
}

const toRow = (snapshot: Snapshot): SnapshotRow => ({
  id: snapshot.id,
  account_id: snapshot.accountId,
  source_id: snapshot.sourceId,
  operation_id: snapshot.operationId,
  pool_id: snapshot.poolId,
  format: snapshot.format,
  key: snapshot.key,
  bytes: snapshot.bytes,
  content_bytes: snapshot.contentBytes,
  item_count: snapshot.itemCount,
  sha256: snapshot.sha256,
  warning_count: snapshot.warningCount,
  details: JSON.stringify(snapshot.details),
  pinned: snapshot.pinned ? 1 : 0,
  verified_at_ms: snapshot.verifiedAtMs,
  verified_well: snapshot.verifiedWell === null ? null : Number(snapshot.verifiedWell),
  created_at_ms: snapshot.createdAtMs,
})

const toSnapshot = (row: SnapshotRow): Snapshot => ({
  id: row.id,
  accountId: row.account_id,
  sourceId: row.source_id,
  operationId: row.operation_id,
  poolId: row.pool_id,
  format: row.format,
  key: row.key,
  bytes: row.bytes,
  contentBytes: row.content_bytes,
  itemCount: row.item_count,
  sha256: row.sha256,
  warningCount: row.warning_count,
  details: parseJsonObject(row.details),
  pinned: row.pinned === 1,
  verifiedAtMs: row.verified_at_ms,
  verifiedWell: row.verified_well === null ? null : row.verified_well === 1,
  createdAtMs: row.created_at_ms,
})
