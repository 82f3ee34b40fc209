import assert from 'node:assert/strict'
import type { Database, WriteTransaction } from './database.ts'

/** Records that can be opened, and opened again. */
export interface RecordsUnderTest {
  open(): Promise<Database>
  remove(): Promise<void>
}

export interface DatabaseUnderTest {
  /** New and empty ones. */
  create(): Promise<RecordsUnderTest>
  /** Whether several `Database` objects, as of several processes, may be open on the same records at once. */
  readonly shared: boolean
  start?(): Promise<void>
  stop?(): Promise<void>
}

export async function withRecords<Records extends RecordsUnderTest>(
  subject: { create(): Promise<Records> },
  use: (open: () => Promise<Database>, records: Records) => Promise<void>,
): Promise<void> {
  const records = await subject.create()
  const opened: Database[] = []
  try {
    await use(async () => {
      const database = await records.open()
      opened.push(database)
      return database
    }, records)
  } finally {
    await Promise.all(opened.map((database) => database.close()))
    await records.remove()
  }
}

export const addDevice = (tx: WriteTransaction, id: string) =>
  tx.sql
    .insertInto('devices')
    .values({ id, account_id: 'ada', name: id, created_at_ms: 1 })
    .execute()

export const addEvent = (tx: WriteTransaction, topicId: string): void =>
  tx.append({
    topic: 'device',
    topicId,
    accountId: 'ada',
    type: 'created',
    atMs: 1_700_000_000_123,
    data: { name: topicId, umlaut: 'ö' },
  })

export async function deviceIds(database: Database): Promise<string[]> {
  const rows = await database.sql.selectFrom('devices').select('id').orderBy('id').execute()
  return rows.map((row) => row.id)
}

/** Waits for something that comes from another connection; gives up after a time that fails the test. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  for (const endMs = performance.now() + 15_000; !holds(); ) {
    assert.ok(performance.now() < endMs, `waited in vain until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
