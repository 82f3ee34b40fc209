import type { Kysely } from 'kysely'
import type { Dialect } from '../migrate.ts'

/** How many runs of an operation in a row were lost with their worker, and got no further. */
export async function lostRuns(schema: Kysely<unknown>, dialect: Dialect): Promise<void> {
  await schema.schema
    .alterTable('operations')
    .addColumn('lost_runs', dialect === 'sqlite' ? 'integer' : 'bigint', (column) =>
      column.notNull().defaultTo(0),
    )
    .execute()
}
