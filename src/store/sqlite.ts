import { DatabaseSync } from 'node:sqlite'
import { Kysely, SqliteDialect } from 'kysely'
import { AppError } from '../core/errors.ts'
import type { LoggedEvent } from '../core/events.ts'
import type { Log } from '../platform/log.ts'
import type { Database, WakeListener } from './database.ts'
import { insertEvents } from './event-log.ts'
import { Listeners } from './listeners.ts'
import { migrate } from './migrate.ts'
import { MIGRATIONS } from './migrations/migrations.ts'
import { SqliteConnection } from './sqlite-connection.ts'
import type { Tables } from './tables.ts'
import { type LaneDatabase, WriteLane } from './write-lane.ts'

export interface SqliteOptions {
  readonly file: string
  readonly log?: Log
}

/** Another process may hold the file for a moment, such as a tool that copies it. */
const BUSY_TIMEOUT_MS = 5_000

/**
 * The embedded store: one file (and the two that SQLite keeps beside it), one
 * process. Writes go through one connection; reads have their own, so that they
 * see what is committed and never wait for a batch.
 */
export async function openSqlite({ file, log }: SqliteOptions): Promise<Database> {
  const { writer, reader } = openConnections(file)
  const connections = [new SqliteConnection(writer), new SqliteConnection(reader)] as const
  const [writing, reading] = connections.map(
    (database) => new Kysely<Tables>({ dialect: new SqliteDialect({ database }) }),
  ) as [Kysely<Tables>, Kysely<Tables>]
  const close = async (): Promise<void> => {
    await reading.destroy()
    await writing.destroy()
    // Kysely closes only what it has used.
    for (const connection of connections) connection.close()
  }
  try {
    await migrate(writing as unknown as Kysely<unknown>, 'sqlite', MIGRATIONS)
  } catch (error) {
    await close()
    throw toStoreError(error)
  }
  const events = new Listeners<[readonly LoggedEvent[]]>(log)
  const wakes = new Listeners<Parameters<WakeListener>>(log)
  const lane = new WriteLane(laneDatabase(writer, writing, events))
  return {
    dialect: 'sqlite',
    sql: reading,
    write: (unit, options) => lane.write(unit, options),
    onEvents: (listener) => events.add(listener),
    wake: (topic, id) => setImmediate(() => wakes.tell(topic, id)),
    onWake: (listener) => wakes.add(listener),
    close: async () => {
      await lane.close()
      await close()
    },
  }
}

function openConnections(file: string): { writer: DatabaseSync; reader: DatabaseSync } {
  let writer: DatabaseSync | null = null
  try {
    writer = new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS, enableForeignKeyConstraints: true })
    writer.exec('pragma journal_mode = wal; pragma synchronous = full')
    // A checkpoint costs two syncs: with more pages between them a busy store spends less on them.
    writer.exec('pragma wal_autocheckpoint = 4000; pragma temp_store = memory')
    const reader = new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS, readOnly: true })
    return { writer, reader }
  } catch (error) {
    writer?.close()
    throw toStoreError(error)
  }
}

function laneDatabase(
  writer: DatabaseSync,
  writing: Kysely<Tables>,
  events: Listeners<[readonly LoggedEvent[]]>,
): LaneDatabase {
  let synchronous: 'full' | 'normal' = 'full'
  return {
    sql: writing,
    savepointsAreCheap: true,
    beforeBatch: (durable) => {
      const wanted = durable ? 'full' : 'normal'
      if (wanted !== synchronous) writer.exec(`pragma synchronous = ${wanted}`)
      synchronous = wanted
    },
    afterBegin: async () => {
      // What is durable was said before the transaction.
    },
    beforeCommit: (transaction, news) => insertEvents(transaction, 'sqlite', news),
    afterCommit: (logged) => events.tell(logged),
    // There is one writer: nobody to race with.
    isLostRace: () => false,
    isSpoiled: (error) => primaryCode(error) === SQLITE_FULL,
    toStoreError,
  }
}

/** Primary result codes, https://www.sqlite.org/rescode.html */
const SQLITE_TROUBLE: Readonly<Record<number, readonly ['unavailable' | 'no_room', string]>> = {
  5: ['unavailable', 'the records are locked by another program; try again'],
  6: ['unavailable', 'the records are locked by another program; try again'],
  8: ['unavailable', 'the records cannot be written: their file is read-only'],
  10: ['unavailable', 'the disk failed while the records were read or written'],
  11: ['unavailable', 'the file of the records is damaged; put back a copy of it'],
  13: ['no_room', 'the disk that keeps the records is full; make room and try again'],
  14: [
    'unavailable',
    'the file of the records cannot be opened; see that its folder is there and may be written',
  ],
  26: ['unavailable', 'the file of the records is no database; move it away or name another'],
}

const SQLITE_FULL = 13

const primaryCode = (error: unknown): number | null =>
  error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : null

function toStoreError(error: unknown): unknown {
  const [code, message] = SQLITE_TROUBLE[primaryCode(error) ?? 0] ?? []
  return code === undefined || message === undefined
    ? error
    : new AppError(code, message, {}, error)
}
