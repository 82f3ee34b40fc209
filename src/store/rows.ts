import type { InsertResult, SelectQueryBuilder } from 'kysely'
import { AppError } from '../core/errors.ts'
import type { JsonObject } from '../core/json.ts'

/** Reads a JSON column that holds an object. Anything else there is damage. */
export function parseJsonObject(text: string): JsonObject {
  const value: unknown = JSON.parse(text)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Error(`a record holds ${typeof value} where it must hold an object`)
  }
  return value as JsonObject
}

/** Reads a JSON column that holds a list of words. Anything else there is damage. */
export function parseJsonWords(text: string): readonly string[] {
  const value: unknown = JSON.parse(text)
  if (!Array.isArray(value) || !value.every((word) => typeof word === 'string')) {
    throw new Error(`a record holds ${typeof value} where it must hold a list of words`)
  }
  return value
}

/**
 * Refuses an insert that met a record of the same id. Inserts say `on conflict
 * do nothing` for this: a statement that fails would spoil the rest of its unit
 * in PostgreSQL.
 */
export function assertInserted(inserted: InsertResult, what: string, id: string): void {
  if ((inserted.numInsertedOrUpdatedRows ?? 0n) > 0n) return
  throw new AppError('conflict', `there is a ${what} ${id} already; choose another id`, { id })
}

export interface Page<T> {
  readonly items: readonly T[]
  /** Pass it to read on; `null` at the end. */
  readonly nextCursor: string | null
}

export interface PageRequest {
  readonly limit: number
  readonly cursor: string | null
}

interface TimeColumns {
  id: string
  created_at_ms: number
  at_ms: number
}

const CURSOR = /^(\d{1,16})\.(.+)$/

/**
 * Reads one page, newest first. The cursor says where the last page ended by
 * time and id, so that reading on works also when that record is gone, and ids
 * that people chose themselves need not rise with time.
 */
export async function readPage<
  Db,
  Table extends keyof Db,
  Row extends { id: string } & { [column in Time]: number },
  T,
  Time extends 'created_at_ms' | 'at_ms' = 'created_at_ms',
>(
  query: SelectQueryBuilder<Db, Table, Row>,
  { limit, cursor }: PageRequest,
  toRecord: (row: Row) => T,
  time: Time = 'created_at_ms' as Time,
): Promise<Page<T>> {
  // Every table that is paged has these columns: `Row` proves it.
  let rest = query as unknown as SelectQueryBuilder<{ paged: TimeColumns }, 'paged', Row>
  if (cursor !== null) {
    const [atMs, id] = parseCursor(cursor)
    rest = rest.where(({ eb, refTuple, tuple }) =>
      eb(refTuple<TimeKey, 'id'>(time, 'id'), '<', tuple(atMs, id)),
    )
  }
  const rows = (await rest
    .orderBy(time, 'desc')
    .orderBy('id', 'desc')
    .limit(limit + 1)
    .execute()) as Row[]
  const shown = rows.slice(0, limit)
  const last = shown.at(-1)
  const more = rows.length > limit && last !== undefined
  return { items: shown.map(toRecord), nextCursor: more ? `${last[time]}.${last.id}` : null }
}

type TimeKey = 'created_at_ms' | 'at_ms'

function parseCursor(cursor: string): readonly [atMs: number, id: string] {
  const [, atMs, id] = CURSOR.exec(cursor) ?? []
  if (atMs !== undefined && id !== undefined) return [Number(atMs), id]
  throw new AppError(
    'invalid',
    `no cursor of a page: ${JSON.stringify(cursor.slice(0, 60))}; pass one as it was answered`,
  )
}
