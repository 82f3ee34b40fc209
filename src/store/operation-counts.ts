import type { Kysely } from 'kysely'
import { LIVE_STATUSES, type Status } from '../core/operation.ts'
import type { Tables } from './tables.ts'

/** How many operations of an account have not ended. */
export async function countLive(sql: Kysely<Tables>, accountId: string): Promise<number> {
  const row = await sql
    .selectFrom('operations')
    .select(({ fn }) => fn.countAll<number | string>().as('count'))
    // As an expression: the index of an account's operations would lead through all its history.
    .where((eb) => eb(eb.fn.coalesce('account_id', eb.val('')), '=', accountId))
    .where('status', 'in', LIVE_STATUSES)
    .executeTakeFirst()
  return Number(row?.count ?? 0)
}

/** Of every account. A status that no operation has is left out. */
export async function countByStatus(
  sql: Kysely<Tables>,
): Promise<Readonly<Partial<Record<Status, number>>>> {
  const rows = await sql
    .selectFrom('operations')
    .select(({ fn }) => ['status', fn.countAll<number | string>().as('count')])
    .groupBy('status')
    .execute()
  return Object.fromEntries(rows.map(({ status, count }) => [status, Number(count)]))
}
