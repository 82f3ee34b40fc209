import type { Kysely } from 'kysely'
import type { PoolRecord, PoolUsage } from '../core/pool.ts'
import type { WriteTransaction } from './database.ts'
import { assertInserted, type Page, type PageRequest, parseJsonObject, readPage } from './rows.ts'
import type { PoolRow, Tables } from './tables.ts'

export interface PoolQuery extends PageRequest {
  /** Lists those of this account and those of everybody; `null` lists all. */
  readonly accountId: string | null
}

/** Throws `conflict` when there is one of that id. */
export async function insertPool(tx: WriteTransaction, pool: PoolRecord): Promise<void> {
  const added = await tx.sql
    .insertInto('pools')
    .values(toRow(pool))
    .onConflict((conflict) => conflict.column('id').doNothing())
    .executeTakeFirst()
  assertInserted(added, 'pool', pool.id)
}

export async function findPool(sql: Kysely<Tables>, id: string): Promise<PoolRecord | null> {
  const row = await sql.selectFrom('pools').selectAll().where('id', '=', id).executeTakeFirst()
  return row === undefined ? null : toPool(row)
}

export function listPools(sql: Kysely<Tables>, query: PoolQuery): Promise<Page<PoolRecord>> {
  const { accountId } = query
  let rows = sql.selectFrom('pools').selectAll()
  if (accountId !== null) {
    rows = rows.where((where) =>
      where.or([where('account_id', '=', accountId), where('account_id', 'is', null)]),
    )
  }
  return readPage(rows, query, toPool)
}

/** Replaces the record of that id; answers `false` when there is none. */
export async function updatePool(tx: WriteTransaction, pool: PoolRecord): Promise<boolean> {
  const { id, ...columns } = toRow(pool)
  const changed = await tx.sql
    .updateTable('pools')
    .set(columns)
    .where('id', '=', id)
    .executeTakeFirst()
  return changed.numUpdatedRows > 0n
}

export async function deletePool(tx: WriteTransaction, id: string): Promise<boolean> {
  const gone = await tx.sql.deleteFrom('pools').where('id', '=', id).executeTakeFirst()
  return gone.numDeletedRows > 0n
}

/** What lies in a pool, by the records of its snapshots. */
export async function poolUsage(sql: Kysely<Tables>, poolId: string): Promise<PoolUsage> {
  const { bytes, count } = await sql
    .selectFrom('snapshots')
    .select(({ fn }) => [
      fn.sum<number | null>('bytes').as('bytes'),
      fn.countAll<number>().as('count'),
    ])
    .where('pool_id', '=', poolId)
    .executeTakeFirstOrThrow()
  return { usedBytes: bytes ?? 0, snapshotCount: count }
}

const toRow = (pool: PoolRecord): PoolRow => ({
  id: pool.id,
  account_id: pool.accountId,
  name: pool.name,
  kind: pool.kind,
  config: JSON.stringify(pool.config),
  created_at_ms: pool.createdAtMs,
})

const toPool = (row: PoolRow): PoolRecord => ({
  id: row.id,
  accountId: row.account_id,
  name: row.name,
  kind: row.kind,
  config: parseJsonObject(row.config),
  createdAtMs: row.created_at_ms,
})
