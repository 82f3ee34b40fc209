import type { Kysely } from 'kysely'
import type { WriteTransaction } from './database.ts'
import { assertInserted, type Page, type PageRequest, parseJsonWords, readPage } from './rows.ts'
import type { Tables, TokenRow } from './tables.ts'

/** A token as it is remembered: what it opens, and how to know it again. */
export interface TokenRecord {
  readonly id: string
  readonly accountId: string
  readonly name: string
  /** In hex. The token itself is shown once and not kept. */
  readonly tokenSha256: string
  readonly permissions: readonly string[]
  readonly createdAtMs: number
  readonly expiresAtMs: number | null
  readonly revokedAtMs: number | null
}

export interface TokenQuery extends PageRequest {
  /** `null` lists those of every account. */
  readonly accountId: string | null
}

/** Throws `conflict` when there is one of that id or hash. */
export async function insertToken(tx: WriteTransaction, token: TokenRecord): Promise<void> {
  const added = await tx.sql
    .insertInto('tokens')
    .values(toRow(token))
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst()
  assertInserted(added, 'token', token.id)
}

export async function findToken(sql: Kysely<Tables>, id: string): Promise<TokenRecord | null> {
  const row = await sql.selectFrom('tokens').selectAll().where('id', '=', id).executeTakeFirst()
  return row === undefined ? null : toToken(row)
}

/** Also answers one that has expired or was revoked: whoever asks looks at the times. */
export async function findTokenBySha256(
  sql: Kysely<Tables>,
  tokenSha256: string,
): Promise<TokenRecord | null> {
  const row = await sql
    .selectFrom('tokens')
    .selectAll()
    .where('token_sha256', '=', tokenSha256)
    .executeTakeFirst()
  return row === undefined ? null : toToken(row)
}

export function listTokens(sql: Kysely<Tables>, query: TokenQuery): Promise<Page<TokenRecord>> {
  let rows = sql.selectFrom('tokens').selectAll()
  if (query.accountId !== null) rows = rows.where('account_id', '=', query.accountId)
  return readPage(rows, query, toToken)
}

/** Answers `false` when there is none of that id, or it was revoked before. */
export async function revokeToken(
  tx: WriteTransaction,
  id: string,
  atMs: number,
): Promise<boolean> {
  const changed = await tx.sql
    .updateTable('tokens')
    .set({ revoked_at_ms: atMs })
    .where('id', '=', id)
    .where('revoked_at_ms', 'is', null)
    .executeTakeFirst()
  return changed.numUpdatedRows > 0n
}

/** Forgets those that expired before `atMs` and whose id begins with `idPrefix`. */
export async function deleteExpiredTokens(
  tx: WriteTransaction,
  idPrefix: string,
  atMs: number,
): Promise<void> {
  await tx.sql
    .deleteFrom('tokens')
    .where('id', 'like', `${idPrefix}%`)
    .where('expires_at_ms', '<', atMs)
    .execute()
}

const toRow = (token: TokenRecord): TokenRow => ({
  id: token.id,
  account_id: token.accountId,
  name: token.name,
  token_sha256: token.tokenSha256,
  permissions: JSON.stringify(token.permissions),
  created_at_ms: token.createdAtMs,
  expires_at_ms: token.expiresAtMs,
  revoked_at_ms: token.revokedAtMs,
})

const toToken = (row: TokenRow): TokenRecord => ({
  id: row.id,
  accountId: row.account_id,
  name: row.name,
  tokenSha256: row.token_sha256,
  permissions: parseJsonWords(row.permissions),
  createdAtMs: row.created_at_ms,
  expiresAtMs: row.expires_at_ms,
  revokedAtMs: row.revoked_at_ms,
})
