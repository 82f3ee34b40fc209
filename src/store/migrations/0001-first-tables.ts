import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { Dialect } from '../migrate.ts'

interface ColumnTypes {
  /** Compared by bytes in both dialects, so that both order and page alike. */
  readonly text: 'text' | RawBuilder<unknown>
  readonly whole: 'integer' | 'bigint'
}

const TYPES: Readonly<Record<Dialect, ColumnTypes>> = {
  sqlite: { text: 'text', whole: 'integer' },
  postgres: { text: sql`text collate "C"`, whole: 'bigint' },
}

export async function firstTables(schema: Kysely<unknown>, dialect: Dialect): Promise<void> {
  const types = TYPES[dialect]
  const table = (name: string) =>
    dialect === 'sqlite'
      ? schema.schema.createTable(name).modifyEnd(sql`strict`)
      : schema.schema.createTable(name)
  await createOwners(table, types)
  await createSnapshots(table, types)
  await createOperations(table, types)
  await createEvents(table, types, dialect)
  await createRuns(table, types)
  await createAccess(table, types)
  await createIndexes(schema)
}

type NewTable = (name: string) => ReturnType<Kysely<unknown>['schema']['createTable']>

async function createOwners(table: NewTable, { text, whole }: ColumnTypes): Promise<void> {
  await table('accounts')
    .addColumn('id', text, (column) => column.primaryKey().notNull())
    .addColumn('name', text, (column) => column.notNull())
    .addColumn('quota_bytes', whole)
    .addColumn('created_at_ms', whole, (column) => column.notNull())
    .execute()
  await table('devices')
    .addColumn('id', text, (column) => column.primaryKey().notNull())
    .addColumn('account_id', text, (column) => column.notNull())
    .addColumn('name', text, (column) => column.notNull())
    .addColumn('created_at_ms', whole, (column) => column.notNull())
    .execute()
  await table('sources')
    .addColumn('id', text, (column) => column.primaryKey().notNull())
    .addColumn('account_id', text, (column) => column.notNull())
    .addColumn('kind', text, (column) => column.notNull())
    .addColumn('name', text, (column) => column.notNull())
    .addColumn('device_id', text)
    .addColumn('config', text, (column) => column.notNull())
    .addColumn('created_at_ms', whole, (column) => column.notNull())
    .execute()
  await table('pools')
    .addColumn('id', text, (column) => column.primaryKey().notNull())
    .addColumn('account_id', text)
    .addColumn('name', text, (column) => column.notNull())
    .addColumn('kind', text, (column) => column.notNull())
    .addColumn('config', text, (column) => column.notNull())
    .addColumn('created_at_ms', whole, (column) => column.notNull())
    .execute()
}

async function createSnapshots(table: NewTable, { text, whole }: ColumnTypes): Promise<void> {
  await table('snapshots')
    .addColumn('id', text, (column) => column.primaryKey().notNull())
    .addColumn('account_id', text, (column) => column.notNull())
    .addColumn('source_id', text, (column) => column.notNull())
    .addColumn('operation_id', text, (column) => column.notNull())
    .addColumn('pool_id', text, (column) => column.notNull())
    .addColumn('format', text, (column) => column.notNull())
    .addColumn('key', text, (column) => column.notNull())
    .addColumn('bytes', whole, (column) => column.notNull())
    .addColumn('content_bytes', whole, (column) => column.notNull())
    .addColumn('item_count', whole, (column) => column.notNull())
    .addColumn('sha256', text, (column) => column.notNull())
    .addColumn('warning_count', whole, (column) => column.notNull())
    .addColumn('details', text, (column) => column.notNull())
    .addColumn('pinned', whole, (column) => column.notNull())
    .addColumn('verified_at_ms', whole)
    .addColumn('verified_well', whole)
    .addColumn('created_at_ms', whole, (column) => column.notNull())
    .execute()
  await table('removals')
    .addColumn('id', text, (column) => column.primaryKey().notNull())
    .addColumn('snapshot', text, (column) => column.notNull())
    .execute()
}

async function createOperations(table: NewTable, { text, whole }: ColumnTypes): Promise<void> {
  await table('operations')
    .addColumn('id', text, (column) => column.primaryKey().notNull())
    .addColumn('account_id', text, (column) => column.notNull())
    .addColumn('kind', text, (column) => column.notNull())
    .addColumn('status', text, (column) => column.notNull())
    .addColumn('status_reason', text, (column) => column.notNull())
    .addColumn('outcome', text)
    .addColumn('priority', whole, (column) => column.notNull())
    .addColumn('source_id', text)
    .addColumn('snapshot_id', text)
    .addColumn('pool_id', text)
    .addColumn('subjects', text, (column) => column.notNull())
    .addColumn('input', text, (column) => column.notNull())
    .addColumn('result', text)
    .addColumn('failure', text)
    .addColumn('progress', text, (column) => column.notNull())
    .addColumn('checkpoint', text)
    .addColumn('intent', text)
    .addColumn('attempt', whole, (column) => column.notNull())
    .addColumn('worker_id', text)
    .addColumn('retry_of', text)
    .addColumn('resumed_count', whole, (column) => column.notNull())
    .addColumn('bytes_not_redone', whole, (column) => column.notNull())
    .addColumn('idempotency_key', text)
    .addColumn('idempotency_hash', text)
    .addColumn('created_at_ms', whole, (column) => column.notNull())
    .addColumn('started_at_ms', whole)
    .addColumn('updated_at_ms', whole, (column) => column.notNull())
    .addColumn('finished_at_ms', whole)
    .execute()
}

async function createEvents(
  table: NewTable,
  { text, whole }: ColumnTypes,
  dialect: Dialect,
): Promise<void> {
  await table('events')
    .addColumn('sequence', whole, (column) =>
      // A sequence is never given twice, also when the newest events were removed.
      dialect === 'sqlite'
        ? column.primaryKey().autoIncrement()
        : column.primaryKey().generatedAlwaysAsIdentity(),
    )
    .addColumn('topic', text, (column) => column.notNull())
    .addColumn('topic_id', text, (column) => column.notNull())
    .addColumn('account_id', text, (column) => column.notNull())
    .addColumn('type', text, (column) => column.notNull())
    .addColumn('at_ms', whole, (column) => column.notNull())
    .addColumn('data', text, (column) => column.notNull())
    .execute()
}

async function createRuns(table: NewTable, { text, whole }: ColumnTypes): Promise<void> {
  await table('holds')
    .addColumn('subject', text, (column) => column.primaryKey().notNull())
    .addColumn('operation_id', text, (column) =>
      column.notNull().references('operations.id').onDelete('cascade'),
    )
    .execute()
  await table('warnings')
    .addColumn('operation_id', text, (column) =>
      column.notNull().references('operations.id').onDelete('cascade'),
    )
    .addColumn('number', whole, (column) => column.notNull())
    .addColumn('code', text, (column) => column.notNull())
    .addColumn('message', text, (column) => column.notNull())
    .addColumn('item', text)
    .addPrimaryKeyConstraint('warnings_pkey', ['operation_id', 'number'])
    .execute()
  await table('workers')
    .addColumn('id', text, (column) => column.primaryKey().notNull())
    .addColumn('host', text, (column) => column.notNull())
    .addColumn('pid', whole, (column) => column.notNull())
    .addColumn('boot_id', text, (column) => column.notNull())
    .addColumn('beat', whole, (column) => column.notNull())
    .addColumn('started_at_ms', whole, (column) => column.notNull())
    .execute()
}

async function createAccess(table: NewTable, { text, whole }: ColumnTypes): Promise<void> {
  await table('tokens')
    .addColumn('id', text, (column) => column.primaryKey().notNull())
    .addColumn('account_id', text, (column) => column.notNull())
    .addColumn('name', text, (column) => column.notNull())
    .addColumn('token_sha256', text, (column) => column.notNull().unique())
    .addColumn('permissions', text, (column) => column.notNull())
    .addColumn('created_at_ms', whole, (column) => column.notNull())
    .addColumn('expires_at_ms', whole)
    .addColumn('revoked_at_ms', whole)
    .execute()
  await table('audit')
    .addColumn('id', text, (column) => column.primaryKey().notNull())
    .addColumn('account_id', text, (column) => column.notNull())
    .addColumn('actor', text, (column) => column.notNull())
    .addColumn('action', text, (column) => column.notNull())
    .addColumn('topic', text, (column) => column.notNull())
    .addColumn('topic_id', text, (column) => column.notNull())
    .addColumn('data', text, (column) => column.notNull())
    .addColumn('at_ms', whole, (column) => column.notNull())
    .execute()
}

/** Pages are read newest first: by time, then by id. */
const PAGED = [
  ['accounts', []],
  ['devices', ['account_id']],
  ['sources', ['account_id']],
  ['sources', ['device_id']],
  ['pools', ['account_id']],
  ['snapshots', []],
  ['snapshots', ['account_id']],
  ['snapshots', ['source_id']],
  ['snapshots', ['pool_id']],
  ['operations', []],
  ['operations', ['account_id']],
  ['operations', ['source_id']],
  ['tokens', ['account_id']],
] as const

async function createIndexes({ schema }: Kysely<unknown>): Promise<void> {
  for (const [table, columns] of PAGED) {
    await schema
      .createIndex([table, ...columns, 'page'].join('_'))
      .on(table)
      .columns([...columns, 'created_at_ms', 'id'])
      .execute()
  }
  await schema
    .createIndex('operations_claim')
    .on('operations')
    .columns(['status', 'priority desc', 'created_at_ms', 'id'])
    .execute()
  await schema
    .createIndex('operations_idempotency')
    .unique()
    .on('operations')
    .columns(['account_id', 'idempotency_key'])
    .execute()
  const others = [
    ['operations', ['worker_id', 'status']],
    ['operations', ['snapshot_id', 'status']],
    ['snapshots', ['operation_id']],
    ['holds', ['operation_id']],
    ['events', ['topic_id', 'sequence']],
    ['events', ['account_id', 'sequence']],
    ['audit', ['at_ms', 'id']],
    ['audit', ['account_id', 'at_ms', 'id']],
  ] as const
  for (const [table, columns] of others) {
    await schema
      .createIndex([table, ...columns].join('_'))
      .on(table)
      .columns([...columns])
      .execute()
  }
}
