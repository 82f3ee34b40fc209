import { type Kysely, sql, type Transaction } from 'kysely'
import { AppError } from '../core/errors.ts'
import type { Database } from './database.ts'

export type Dialect = Database['dialect']

export interface Migration {
  readonly number: number
  readonly name: string
  run(schema: Kysely<unknown>, dialect: Dialect): Promise<void>
}

interface MigrationTables {
  migrations: { number: number; name: string }
}

/** Any number that nothing else locks: it keeps two processes from migrating at once. */
const MIGRATION_LOCK = 5_610_917_001

/**
 * Brings the tables to the newest version this program knows, all or nothing.
 * Refuses those of a newer one, and changes nothing then. Safe to run from
 * several processes at once.
 */
export async function migrate(
  database: Kysely<unknown>,
  dialect: Dialect,
  migrations: readonly Migration[],
): Promise<void> {
  const records = database as Kysely<MigrationTables>
  await records.transaction().execute(async (transaction) => {
    if (dialect === 'postgres') {
      // Waiting for another process that migrates, and large tables, take their time.
      await sql`set local lock_timeout = 0`.execute(transaction)
      await sql`set local statement_timeout = 0`.execute(transaction)
      await sql`select pg_advisory_xact_lock(${sql.lit(MIGRATION_LOCK)})`.execute(transaction)
    }
    const version = await versionOf(transaction, dialect)
    const newest = migrations.length
    if (version > newest) throw tooNew(version, newest)
    for (const migration of migrations.slice(version)) {
      await migration.run(transaction as unknown as Kysely<unknown>, dialect)
      await transaction
        .insertInto('migrations')
        .values({ number: migration.number, name: migration.name })
        .execute()
    }
  })
}

const tooNew = (version: number, newest: number): AppError =>
  new AppError(
    'unavailable',
    `the records have schema version ${version}, and this program knows versions up to ${newest}: ` +
      'start the version of Holdfast that made them or a newer one, or give this one a data folder or database of its own',
    { version, newestKnown: newest },
  )

/** The number of the last migration that was run; makes the table that keeps it where there is none. */
async function versionOf(
  transaction: Transaction<MigrationTables>,
  dialect: Dialect,
): Promise<number> {
  await transaction.schema
    .createTable('migrations')
    .ifNotExists()
    .addColumn('number', 'integer', (column) => column.primaryKey().notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .modifyEnd(dialect === 'sqlite' ? sql`strict` : sql``)
    .execute()
  const last = await transaction
    .selectFrom('migrations')
    .select('number')
    .orderBy('number', 'desc')
    .limit(1)
    .executeTakeFirst()
  return last?.number ?? 0
}
