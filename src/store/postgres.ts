import { Kysely, PostgresDialect, type PostgresPool, sql } from 'kysely'
import pg from 'pg'
import type { LoggedEvent } from '../core/events.ts'
import type { Log } from '../platform/log.ts'
import type { Database, WakeListener } from './database.ts'
import { insertEvents } from './event-log.ts'
import { Listeners } from './listeners.ts'
import { migrate } from './migrate.ts'
import { MIGRATIONS } from './migrations/migrations.ts'
import { isLostRace, isSpoiled, toStoreError } from './postgres-errors.ts'
import { EVENT_CHANNEL, PostgresFeed } from './postgres-feed.ts'
import type { Tables } from './tables.ts'
import { type LaneDatabase, WriteLane } from './write-lane.ts'

export interface PostgresOptions {
  readonly url: string
  readonly log?: Log
}

const READ_CONNECTIONS_MAX = 8
const CONNECT_TIMEOUT_MS = 10_000
const STATEMENT_TIMEOUT_MS = 30_000
const LOCK_TIMEOUT_MS = 10_000
/** Somewhat more than the server needs to end a statement by itself. */
const ANSWER_TIMEOUT_MS = 40_000
/** A process that was frozen within a transaction keeps others from its rows no longer than this. */
const IDLE_TRANSACTION_MS = 60_000
const STATEMENTS_NAMED_MAX = 500

/**
 * The store at scale: several processes share one database. Writes go through
 * one connection of this process, reads through a few that cannot write, and
 * one connection listens.
 */
export async function openPostgres({ url, log }: PostgresOptions): Promise<Database> {
  const writing = openPool({ url, connectionsMax: 1, readOnly: false, log })
  const reading = openPool({ url, connectionsMax: READ_CONNECTIONS_MAX, readOnly: true, log })
  const events = new Listeners<[readonly LoggedEvent[]]>(log)
  const wakes = new Listeners<Parameters<WakeListener>>(log)
  const feed = new PostgresFeed({ url, sql: reading, events, wakes, log })
  const lane = new WriteLane(laneDatabase(writing, feed))
  const close = async (): Promise<void> => {
    await lane.close()
    await feed.close()
    await Promise.all([writing.destroy(), reading.destroy()])
  }
  try {
    await migrate(writing as unknown as Kysely<unknown>, 'postgres', MIGRATIONS)
    await feed.start()
  } catch (error) {
    await close()
    throw toStoreError(error)
  }
  return {
    dialect: 'postgres',
    sql: reading,
    write: (unit, options) => lane.write(unit, options),
    onEvents: (listener) => events.add(listener),
    wake: (topic, id) => feed.wake(topic, id),
    onWake: (listener) => wakes.add(listener),
    close,
  }
}

function laneDatabase(writing: Kysely<Tables>, feed: PostgresFeed): LaneDatabase {
  return {
    sql: writing,
    savepointsAreCheap: false,
    beforeBatch: () => {
      // What is durable is said within the transaction.
    },
    afterBegin: async (transaction, durable) => {
      if (!durable) await sql`set local synchronous_commit = off`.execute(transaction)
    },
    beforeCommit: async (transaction, news) => {
      const logged = await insertEvents(transaction, 'postgres', news)
      const last = logged.at(-1)
      if (last !== undefined) {
        const payload = String(last.sequence)
        await sql`select pg_notify(${EVENT_CHANNEL}, ${payload})`.execute(transaction)
      }
      return logged
    },
    afterCommit: (logged) => feed.committed(logged),
    isLostRace,
    isSpoiled,
    toStoreError,
  }
}

interface OpenPoolOptions {
  readonly url: string
  readonly connectionsMax: number
  readonly readOnly: boolean
  readonly log: Log | undefined
}

interface PoolOptions extends Omit<pg.PoolConfig, 'onConnect'> {
  /** The pool hands the connection on when this has resolved: nobody asks it anything before. */
  onConnect(client: pg.ClientBase): Promise<unknown>
}

function openPool({ url, connectionsMax, readOnly, log }: OpenPoolOptions): Kysely<Tables> {
  const options: PoolOptions = {
    connectionString: url,
    max: connectionsMax,
    application_name: 'holdfast',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: ANSWER_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    lock_timeout: LOCK_TIMEOUT_MS,
    idle_in_transaction_session_timeout: IDLE_TRANSACTION_MS,
    keepAlive: true,
    types: { getTypeParser },
    onConnect: (client) => client.query(readOnly ? READ_ONLY : COMMIT_WAITS),
  }
  const pool = new pg.Pool(options)
  const lost = (error: Error) => log?.warn('a connection to PostgreSQL was lost', { error })
  // Without listeners, a connection that breaks while nobody waits for it would end the process.
  pool.on('error', lost)
  pool.on('connect', (client) => void client.on('error', lost))
  return new Kysely<Tables>({ dialect: new PostgresDialect({ pool: adapt(pool) }) })
}

const READ_ONLY = 'set default_transaction_read_only = on'
/** Durable means on the disk, also where the server is set up to answer sooner. */
const COMMIT_WAITS = `select set_config('synchronous_commit', 'on', false)
  where current_setting('synchronous_commit') = 'off'`

const INT8 = 20
const NUMERIC = 1700

/** Counts and times fit a number; PostgreSQL's driver would answer text. */
const getTypeParser: typeof pg.types.getTypeParser = ((id: number, format?: 'text') =>
  id === INT8 || id === NUMERIC
    ? Number
    : pg.types.getTypeParser(id, format)) as typeof pg.types.getTypeParser

/** The pool as Kysely calls it, with named statements, and with failures that callers can act on. */
function adapt(pool: pg.Pool): PostgresPool {
  const names = new Map<string, string>()
  const nameOf = (text: string): string | undefined => {
    const known = names.get(text)
    if (known !== undefined || names.size >= STATEMENTS_NAMED_MAX) return known
    const name = `holdfast_${names.size}`
    names.set(text, name)
    return name
  }
  const connect = async () => {
    const client = await pool.connect().catch((error: unknown) => {
      throw toStoreError(error)
    })
    let broken = false
    const query = async (text: string, values: readonly unknown[]) => {
      const name = values.length === 0 ? undefined : nameOf(text)
      try {
        return await client.query({ text, values: [...values], ...(name && { name }) })
      } catch (error) {
        // The lane runs the unit again; nothing is wrong with the connection.
        if (isLostRace(error)) throw error
        // What else is no fault of the statement goes away with the connection.
        if (toStoreError(error) !== error) broken = true
        throw toStoreError(error)
      }
    }
    return { query, release: (destroy?: boolean) => client.release(destroy === true || broken) }
  }
  return {
    connect: connect as unknown as PostgresPool['connect'],
    end: () => pool.end(),
    options: pool.options,
  }
}
