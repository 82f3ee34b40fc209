import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { openPostgres } from '../../src/store/postgres.ts'
import { openSqlite } from '../../src/store/sqlite.ts'
import { query, startPostgres } from '../support/postgres.ts'

// The tables as the migrations leave them, beside this file, so that a change of theirs is seen in
// review. A new migration: `node --test --test-update-snapshots test/schema/schema.test.ts`.

const golden = (name: string) => fileURLToPath(new URL(`./${name}`, import.meta.url))

const compare = (context: TestContext, lines: readonly string[], name: string) =>
  context.assert.fileSnapshot(lines, golden(name), {
    serializers: [(value: readonly string[]) => `${value.join('\n')}\n`],
  })

test('the tables of the embedded store are those of sqlite.golden.sql', async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-schema-'))
  try {
    const file = join(folder, 'records.sqlite')
    await (await openSqlite({ file })).close()
    const database = new DatabaseSync(file, { readOnly: true })
    const rows = database
      .prepare("select sql from sqlite_schema where sql is not null order by type = 'index', name")
      .all()
    database.close()
    const statements = rows.map((row) => `${String(row['sql'])};`)
    compare(
      context,
      statements.map((text) => text.replace(/, "/g, ',\n  "')),
      'sqlite.golden.sql',
    )
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

const COLUMNS = `
  select table_name || '.' || column_name || ' ' || data_type
    || coalesce(' collate ' || collation_name, '')
    || case is_nullable when 'NO' then ' not null' else '' end
    || case is_identity when 'YES' then ' identity ' || lower(identity_generation) else '' end as line
  from information_schema.columns where table_schema = current_schema()
  order by table_name, ordinal_position`

// The server lists each "not null" as a constraint too; the columns say it already.
const CONSTRAINTS = `
  select conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) as line
  from pg_constraint where connamespace = current_schema()::regnamespace and contype <> 'n'
  order by conrelid::regclass::text, conname`

const INDEXES = `
  select indexdef as line from pg_indexes where schemaname = current_schema() order by indexname`

test('the tables on PostgreSQL are those of postgres.golden.txt', async (context) => {
  const server = await startPostgres()
  try {
    const url = await server.createDatabase()
    await (await openPostgres({ url })).close()
    const lines: string[] = []
    for (const text of [COLUMNS, CONSTRAINTS, INDEXES]) {
      const { rows } = await query(url, text)
      lines.push(...rows.map((row: { line: string }) => row.line), '')
    }
    compare(context, lines.slice(0, -1), 'postgres.golden.txt')
  } finally {
    await server.stop()
  }
})
