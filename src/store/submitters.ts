import type { Kysely } from 'kysely'
import { parseJsonObject } from './rows.ts'
import type { Tables } from './tables.ts'

/** As its first event says, so that it is known to every process that runs it. */
export async function wasSubmittedByAdmin(
  sql: Kysely<Tables>,
  operationId: string,
): Promise<boolean> {
  const row = await sql
    .selectFrom('events')
    .select('data')
    .where('topic', '=', 'operation')
    .where('topic_id', '=', operationId)
    .where('type', '=', 'submitted')
    .limit(1)
    .executeTakeFirst()
  return row !== undefined && parseJsonObject(row.data)['byAdmin'] === true
}
