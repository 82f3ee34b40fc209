import type { Kysely } from 'kysely'
import type { Snapshot } from '../core/snapshot.ts'
import type { WriteTransaction } from './database.ts'
import type { Tables } from './tables.ts'

/** Remembers, in the commit that deletes a snapshot's record, that its objects are still to be removed. */
export async function insertRemoval(tx: WriteTransaction, snapshot: Snapshot): Promise<void> {
  await tx.sql
    .insertInto('removals')
    .values({ id: snapshot.id, snapshot: JSON.stringify(snapshot) })
    .execute()
}

/** Some of those that are still to be done, by id. */
export async function listRemovals(
  sql: Kysely<Tables>,
  { after, limit }: { readonly after: string; readonly limit: number },
): Promise<readonly Snapshot[]> {
  const rows = await sql
    .selectFrom('removals')
    .select('snapshot')
    .where('id', '>', after)
    .orderBy('id')
    .limit(limit)
    .execute()
  return rows.map((row) => JSON.parse(row.snapshot) as Snapshot)
}

export async function deleteRemoval(tx: WriteTransaction, id: string): Promise<void> {
  await tx.sql.deleteFrom('removals').where('id', '=', id).execute()
}
