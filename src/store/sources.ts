import type { Kysely } from 'kysely'
import type { SourceKind } from '../core/kinds.ts'
import type { Source } from '../core/source.ts'
import type { WriteTransaction } from './database.ts'
import { assertInserted, type Page, type PageRequest, parseJsonObject, readPage } from './rows.ts'
import type { SourceRow, Tables } from './tables.ts'

export interface SourceQuery extends PageRequest {
  /** `null` lists those of every account. */
  readonly accountId: string | null
  readonly kind?: SourceKind
  readonly deviceId?: string
}

/** Throws `conflict` when there is one of that id. */
export async function insertSource(tx: WriteTransaction, source: Source): Promise<void> {
  const added = await tx.sql
    .insertInto('sources')
    .values(toRow(source))
    .onConflict((conflict) => conflict.column('id').doNothing())
    .executeTakeFirst()
  assertInserted(added, 'source', source.id)
}

export async function findSource(sql: Kysely<Tables>, id: string): Promise<Source | null> {
  const row = await sql.selectFrom('sources').selectAll().where('id', '=', id).executeTakeFirst()
  return row === undefined ? null : toSource(row)
}

export function listSources(sql: Kysely<Tables>, query: SourceQuery): Promise<Page<Source>> {
  let rows = sql.selectFrom('sources').selectAll()
  if (query.accountId !== null) rows = rows.where('account_id', '=', query.accountId)
  if (query.kind !== undefined) rows = rows.where('kind', '=', query.kind)
  if (query.deviceId !== undefined) rows = rows.where('device_id', '=', query.deviceId)
  return readPage(rows, query, toSource)
}

/** Replaces the record of that id; answers `false` when there is none. */
export async function updateSource(tx: WriteTransaction, source: Source): Promise<boolean> {
  const { id, ...columns } = toRow(source)
  const changed = await tx.sql
    .updateTable('sources')
    .set(columns)
    .where('id', '=', id)
    .executeTakeFirst()
  return changed.numUpdatedRows > 0n
}

export async function deleteSource(tx: WriteTransaction, id: string): Promise<boolean> {
  const gone = await tx.sql.deleteFrom('sources').where('id', '=', id).executeTakeFirst()
  return gone.numDeletedRows > 0n
}

const toRow = (source: Source): SourceRow => ({
  id: source.id,
  account_id: source.accountId,
  kind: source.kind,
  name: source.name,
  device_id: source.deviceId,
  config: JSON.stringify(source.config),
  created_at_ms: source.createdAtMs,
})

const toSource = (row: SourceRow): Source => ({
  id: row.id,
  accountId: row.account_id,
  kind: row.kind as SourceKind,
  name: row.name,
  deviceId: row.device_id,
  config: parseJsonObject(row.config),
  createdAtMs: row.created_at_ms,
})
