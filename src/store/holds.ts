import type { Kysely } from 'kysely'
import type { WriteTransaction } from './database.ts'
import type { Tables } from './tables.ts'

export interface Hold {
  readonly subject: string
  readonly operationId: string
}

/**
 * Takes subjects for an operation. Answers the first that somebody else holds,
 * or `null` when all are its own; the caller then lets its unit fail, so that
 * none stays taken.
 */
export async function takeHolds(
  tx: WriteTransaction,
  operationId: string,
  subjects: readonly string[],
): Promise<Hold | null> {
  // Always in the same order: two submissions that want the same two subjects never wait for each other in a circle.
  for (const subject of [...new Set(subjects)].sort()) {
    const inserted = await tx.sql
      .insertInto('holds')
      .values({ subject, operation_id: operationId })
      .onConflict((conflict) => conflict.doNothing())
      .executeTakeFirst()
    if ((inserted.numInsertedOrUpdatedRows ?? 0n) > 0n) continue
    const holder = await findHolder(tx.sql, subject)
    if (holder !== operationId) return { subject, operationId: holder ?? 'unknown' }
  }
  return null
}

export async function findHolder(sql: Kysely<Tables>, subject: string): Promise<string | null> {
  const row = await sql
    .selectFrom('holds')
    .select('operation_id')
    .where('subject', '=', subject)
    .executeTakeFirst()
  return row?.operation_id ?? null
}

const DISCARD = 'discard:'
/** The first word behind all that begin with it. */
const DISCARD_END = 'discard;'

const discardSubject = (operationId: string): string => `${DISCARD}${operationId}`

/** Lets go of all that an operation held. What is still to be discarded stays remembered. */
export async function releaseHolds(tx: WriteTransaction, operationId: string): Promise<void> {
  await tx.sql
    .deleteFrom('holds')
    .where('operation_id', '=', operationId)
    .where('subject', '<>', discardSubject(operationId))
    .execute()
}

/** Remembers, in the commit that ends an operation, that what it left half-made is still to be removed. */
export async function rememberDiscard(tx: WriteTransaction, operationId: string): Promise<void> {
  await tx.sql
    .insertInto('holds')
    .values({ subject: discardSubject(operationId), operation_id: operationId })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}

export async function forgetDiscard(tx: WriteTransaction, operationId: string): Promise<void> {
  await tx.sql.deleteFrom('holds').where('subject', '=', discardSubject(operationId)).execute()
}

/** Ended operations that left something behind. */
export async function listDiscards(sql: Kysely<Tables>, limit: number): Promise<readonly string[]> {
  const rows = await sql
    .selectFrom('holds')
    .select('operation_id')
    .where('subject', '>=', DISCARD)
    .where('subject', '<', DISCARD_END)
    .orderBy('subject')
    .limit(limit)
    .execute()
  return rows.map((row) => row.operation_id)
}
