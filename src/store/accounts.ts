import type { Kysely } from 'kysely'
import type { Account } from '../core/account.ts'
import type { WriteTransaction } from './database.ts'
import { assertInserted, type Page, type PageRequest, readPage } from './rows.ts'
import type { AccountRow, Tables } from './tables.ts'

/** Throws `conflict` when there is one of that id. */
export async function insertAccount(tx: WriteTransaction, account: Account): Promise<void> {
  const added = await tx.sql
    .insertInto('accounts')
    .values(toRow(account))
    .onConflict((conflict) => conflict.column('id').doNothing())
    .executeTakeFirst()
  assertInserted(added, 'account', account.id)
}

/** For an account that is known by its token alone: adds it unless it is there, and answers the one that is kept. */
export async function ensureAccount(tx: WriteTransaction, account: Account): Promise<Account> {
  await tx.sql
    .insertInto('accounts')
    .values(toRow(account))
    .onConflict((conflict) => conflict.column('id').doNothing())
    .execute()
  return (await findAccount(tx.sql, account.id)) ?? account
}

export async function findAccount(sql: Kysely<Tables>, id: string): Promise<Account | null> {
  const row = await sql.selectFrom('accounts').selectAll().where('id', '=', id).executeTakeFirst()
  return row === undefined ? null : toAccount(row)
}

export function listAccounts(sql: Kysely<Tables>, query: PageRequest): Promise<Page<Account>> {
  return readPage(sql.selectFrom('accounts').selectAll(), query, toAccount)
}

/** Replaces the record of that id; answers `false` when there is none. */
export async function updateAccount(tx: WriteTransaction, account: Account): Promise<boolean> {
  const { id, ...columns } = toRow(account)
  const changed = await tx.sql
    .updateTable('accounts')
    .set(columns)
    .where('id', '=', id)
    .executeTakeFirst()
  return changed.numUpdatedRows > 0n
}

export async function deleteAccount(tx: WriteTransaction, id: string): Promise<boolean> {
  const gone = await tx.sql.deleteFrom('accounts').where('id', '=', id).executeTakeFirst()
  return gone.numDeletedRows > 0n
}

const toRow = (account: Account): AccountRow => ({
  id: account.id,
  name: account.name,
  quota_bytes: account.quotaBytes,
  created_at_ms: account.createdAtMs,
})

const toAccount = (row: AccountRow): Account => ({
  id: row.id,
  name: row.name,
  quotaBytes: row.quota_bytes,
  createdAtMs: row.created_at_ms,
})
