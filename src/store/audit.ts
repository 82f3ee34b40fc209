import type { Kysely } from 'kysely'
import type { JsonObject } from '../core/json.ts'
import type { WriteTransaction } from './database.ts'
import { type Page, type PageRequest, parseJsonObject, readPage } from './rows.ts'
import type { AuditRow, Tables } from './tables.ts'

/** One thing that somebody did. Never changed, never removed by itself. */
export interface AuditEntry {
  readonly id: string
  readonly accountId: string
  /** Who: the name of the caller and the id of the token, never the token. */
  readonly actor: string
  /** What, such as `snapshot.remove`. */
  readonly action: string
  readonly topic: string
  readonly topicId: string
  readonly data: JsonObject
  readonly atMs: number
}

export interface AuditQuery extends PageRequest {
  /** `null` lists those of every account. */
  readonly accountId: string | null
  readonly action?: string
  readonly topicId?: string
}

export async function insertAudit(tx: WriteTransaction, entry: AuditEntry): Promise<void> {
  await tx.sql.insertInto('audit').values(toRow(entry)).execute()
}

export function listAudit(sql: Kysely<Tables>, query: AuditQuery): Promise<Page<AuditEntry>> {
  let rows = sql.selectFrom('audit').selectAll()
  if (query.accountId !== null) rows = rows.where('account_id', '=', query.accountId)
  if (query.action !== undefined) rows = rows.where('action', '=', query.action)
  if (query.topicId !== undefined) rows = rows.where('topic_id', '=', query.topicId)
  return readPage(rows, query, toEntry, 'at_ms')
}

const toRow = (entry: AuditEntry): AuditRow => ({
  id: entry.id,
  account_id: entry.accountId,
  actor: entry.actor,
  action: entry.action,
  topic: entry.topic,
  topic_id: entry.topicId,
  data: JSON.stringify(entry.data),
  at_ms: entry.atMs,
})

const toEntry = (row: AuditRow): AuditEntry => ({
  id: row.id,
  accountId: row.account_id,
  actor: row.actor,
  action: row.action,
  topic: row.topic,
  topicId: row.topic_id,
  data: parseJsonObject(row.data),
  atMs: row.at_ms,
})
