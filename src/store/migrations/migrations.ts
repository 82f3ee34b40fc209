import type { Migration } from '../migrate.ts'
import { firstTables } from './0001-first-tables.ts'
import { lostRuns } from './0002-lost-runs.ts'

/**
 * In order, without gaps, numbered from 1. One that was released is never
 * edited or moved: what it made is changed by the next one.
 */
export const MIGRATIONS: readonly Migration[] = [
  { number: 1, name: 'first-tables', run: firstTables },
  { number: 2, name: 'lost-runs', run: lostRuns },
]
