import type { Kysely } from 'kysely'
import { WARNINGS_KEPT_MAX, type Warning } from '../core/outcome.ts'
import type { WriteTransaction } from './database.ts'
import type { Tables } from './tables.ts'

export interface NumberedWarning extends Warning {
  /** Counts from 1 within its operation. */
  readonly number: number
}

/** Stands behind the kept ones; its `item` is how many more there were. */
const MORE_NUMBER = WARNINGS_KEPT_MAX + 1

/** Adds warnings that carry their numbers, and keeps `total` as how many there are in all. */
export async function appendWarnings(
  tx: WriteTransaction,
  operationId: string,
  batch: { readonly warnings: readonly NumberedWarning[]; readonly total: number },
): Promise<void> {
  const kept = batch.warnings.filter((warning) => warning.number <= WARNINGS_KEPT_MAX)
  if (kept.length > 0) {
    await tx.sql
      .insertInto('warnings')
      .values(
        kept.map(({ number, code, message, item }) => ({
          operation_id: operationId,
          number,
          code,
          message,
          item,
        })),
      )
      .onConflict((conflict) => conflict.doNothing())
      .execute()
  }
  if (batch.total > WARNINGS_KEPT_MAX) await saveMore(tx, operationId, batch.total)
}

async function saveMore(tx: WriteTransaction, operationId: string, total: number): Promise<void> {
  const item = String(total - WARNINGS_KEPT_MAX)
  await tx.sql
    .insertInto('warnings')
    .values({
      operation_id: operationId,
      number: MORE_NUMBER,
      code: 'more',
      message: 'more warnings, only counted',
      item,
    })
    .onConflict((conflict) => conflict.columns(['operation_id', 'number']).doUpdateSet({ item }))
    .execute()
}

/** Goes back to the first `total`: those after them belong to work that is done again. */
export async function truncateWarnings(
  tx: WriteTransaction,
  operationId: string,
  total: number,
): Promise<void> {
  await tx.sql
    .deleteFrom('warnings')
    .where('operation_id', '=', operationId)
    .where('number', '>', Math.min(total, WARNINGS_KEPT_MAX))
    .execute()
  if (total > WARNINGS_KEPT_MAX) await saveMore(tx, operationId, total)
}

/** How many there were in all, the ones that were only counted included. */
export async function countWarnings(sql: Kysely<Tables>, operationId: string): Promise<number> {
  const last = await sql
    .selectFrom('warnings')
    .select(['number', 'item'])
    .where('operation_id', '=', operationId)
    .orderBy('number', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (last === undefined) return 0
  return last.number === MORE_NUMBER ? WARNINGS_KEPT_MAX + Number(last.item) : last.number
}

export async function listWarnings(
  sql: Kysely<Tables>,
  operationId: string,
  page: { readonly after: number; readonly limit: number },
): Promise<readonly NumberedWarning[]> {
  const rows = await sql
    .selectFrom('warnings')
    .select(['number', 'code', 'message', 'item'])
    .where('operation_id', '=', operationId)
    .where('number', '>', page.after)
    .where('number', '<', MORE_NUMBER)
    .orderBy('number')
    .limit(page.limit)
    .execute()
  return rows.map(({ number, code, message, item }) => ({ number, code, message, item }))
}
