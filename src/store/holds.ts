import { type Kysely, sql } from 'kysely'
import type { Database, WriteTransaction } from './database.ts'
import type { Tables } from './tables.ts'

export interface Hold {
  readonly subject: string
  readonly operationId: string
}

/** Begins a subject that is a folder: its real path follows. It stands for all that lies below it, too. */
const PATH = 'path:'

/**
 * Takes subjects for an operation. Answers the first that somebody else holds,
 * or `null` when all are its own; the caller then lets its unit fail, so that
 * none stays taken. Of two folders, one within the other, only one is taken.
 */
export async function takeHolds(
  tx: WriteTransaction,
  operationId: string,
  subjects: readonly string[],
  dialect: Database['dialect'] = 'sqlite',
): Promise<Hold | null> {
  const paths = subjects.filter((subject) => subject.startsWith(PATH))
  if (paths.length > 0 && dialect === 'postgres') await lockPaths(tx)
  for (const subject of paths) {
    const holder = await findOverlapping(tx, operationId, subject)
    if (holder !== null) return holder
  }
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

/** Two processes at once could else take a folder and one within it: neither row is in the other's way. */
async function lockPaths(tx: WriteTransaction): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtext('holdfast holds of paths'))`.execute(tx.sql)
}

async function findOverlapping(
  tx: WriteTransaction,
  operationId: string,
  subject: string,
): Promise<Hold | null> {
  const row = await tx.sql
    .selectFrom('holds')
    .select(['subject', 'operation_id'])
    .where('operation_id', '<>', operationId)
    .where(({ or, eb }) => {
      const below = `${subject.replace(/\/$/, '')}/`
      return or([
        eb('subject', 'in', [...withAncestors(subject)]),
        // By characters: what sorts between two texts depends on the database.
        sql<boolean>`substr(subject, 1, length(cast(${below} as text))) = ${below}`,
      ])
    })
    .limit(1)
    .executeTakeFirst()
  return row === undefined ? null : { subject: row.subject, operationId: row.operation_id }
}

function withAncestors(subject: string): readonly string[] {
  const segments = subject.slice(PATH.length).split('/').slice(1)
  const above = segments.map((_, index) => `${PATH}/${segments.slice(0, index).join('/')}`)
  return [...above, subject]
}

export async function findHolder(reader: Kysely<Tables>, subject: string): Promise<string | null> {
  const row = await reader
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
export async function listDiscards(
  reader: Kysely<Tables>,
  limit: number,
): Promise<readonly string[]> {
  const rows = await reader
    .selectFrom('holds')
    .select('operation_id')
    .where('subject', '>=', DISCARD)
    .where('subject', '<', DISCARD_END)
    .orderBy('subject')
    .limit(limit)
    .execute()
  return rows.map((row) => row.operation_id)
}
