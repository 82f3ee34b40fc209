import { type Kysely, sql, type Transaction } from 'kysely'
import type { LoggedEvent, NewEvent, Topic } from '../core/events.ts'
import { parseJsonObject } from './rows.ts'
import type { EventRow, Tables } from './tables.ts'

export interface EventFilter {
  /** Answers only what came after this one; 0 reads from the beginning. */
  readonly sinceSequence: number
  readonly limit: number
  readonly topics?: readonly Topic[]
  readonly topicId?: string
  readonly accountId?: string
}

/** The oldest events after `sinceSequence`, in sequence order. */
export async function eventsSince(
  sql: Kysely<Tables>,
  filter: EventFilter,
): Promise<LoggedEvent[]> {
  let query = sql.selectFrom('events').selectAll().where('sequence', '>', filter.sinceSequence)
  if (filter.topics !== undefined) query = query.where('topic', 'in', [...filter.topics])
  if (filter.topicId !== undefined) query = query.where('topic_id', '=', filter.topicId)
  if (filter.accountId !== undefined) query = query.where('account_id', '=', filter.accountId)
  const rows = await query.orderBy('sequence').limit(filter.limit).execute()
  return rows.map(toEvent)
}

/** The sequence of the newest event; 0 where there is none. */
export async function lastSequence(sql: Kysely<Tables>): Promise<number> {
  const row = await sql
    .selectFrom('events')
    .select('sequence')
    .orderBy('sequence', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row?.sequence ?? 0
}

/** The sequence of the oldest event that is still kept; 0 where there is none. */
export async function firstSequence(sql: Kysely<Tables>): Promise<number> {
  const row = await sql
    .selectFrom('events')
    .select('sequence')
    .orderBy('sequence')
    .limit(1)
    .executeTakeFirst()
  return row?.sequence ?? 0
}

/** Whoever holds it gives out the next sequences; it is kept until the commit is visible. */
const EVENT_LOCK = 5_610_917_002

/**
 * Adds events at the end of the log; answers them with their sequences. Call it
 * last in a transaction: in PostgreSQL it keeps every other writer of events
 * waiting until this one has committed, which is what makes sequences rise in
 * commit order.
 */
export async function insertEvents(
  transaction: Transaction<Tables>,
  dialect: 'sqlite' | 'postgres',
  events: readonly NewEvent[],
): Promise<LoggedEvent[]> {
  if (events.length === 0) return []
  const sequences =
    dialect === 'sqlite'
      ? await insertEach(transaction, events)
      : await insertTogether(transaction, events)
  return events.map((event, index) => ({ ...event, sequence: sequences[index] as number }))
}

async function insertEach(
  transaction: Transaction<Tables>,
  events: readonly NewEvent[],
): Promise<readonly number[]> {
  const sequences: number[] = []
  for (const event of events) {
    const { insertId } = await transaction
      .insertInto('events')
      .values({
        topic: event.topic,
        topic_id: event.topicId,
        account_id: event.accountId,
        type: event.type,
        at_ms: event.atMs,
        data: JSON.stringify(event.data),
      })
      .executeTakeFirstOrThrow()
    sequences.push(Number(insertId))
  }
  return sequences
}

/** One statement of one text, however many events there are. */
async function insertTogether(
  transaction: Transaction<Tables>,
  events: readonly NewEvent[],
): Promise<readonly number[]> {
  await sql`select pg_advisory_xact_lock(${sql.lit(EVENT_LOCK)})`.execute(transaction)
  const { rows } = await sql<{ sequence: number }>`
    insert into events (topic, topic_id, account_id, type, at_ms, data)
    select topic, topic_id, account_id, type, at_ms, data
    from unnest(
      ${events.map((event) => event.topic)}::text[],
      ${events.map((event) => event.topicId)}::text[],
      ${events.map((event) => event.accountId)}::text[],
      ${events.map((event) => event.type)}::text[],
      ${events.map((event) => event.atMs)}::bigint[],
      ${events.map((event) => JSON.stringify(event.data))}::text[]
    ) with ordinality as news (topic, topic_id, account_id, type, at_ms, data, position)
    order by position
    returning sequence
  `.execute(transaction)
  // They are given out in the order of the rows; only the answer may come in another.
  return rows.map((row) => row.sequence).sort((left, right) => left - right)
}

const toEvent = (row: { sequence: number } & Omit<EventRow, 'sequence'>): LoggedEvent => ({
  sequence: row.sequence,
  topic: row.topic as Topic,
  topicId: row.topic_id,
  accountId: row.account_id,
  type: row.type as LoggedEvent['type'],
  atMs: row.at_ms,
  data: parseJsonObject(row.data),
})
