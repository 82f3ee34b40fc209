import { AsyncLocalStorage } from 'node:async_hooks'
import { type Kysely, sql, type Transaction } from 'kysely'
import { AppError } from '../core/errors.ts'
import type { LoggedEvent, NewEvent } from '../core/events.ts'
import type { WriteOptions, WriteTransaction } from './database.ts'
import type { Tables } from './tables.ts'

/** What a dialect gives to its lane. */
export interface LaneDatabase {
  readonly sql: Kysely<Tables>
  /** For a setting that cannot be changed within a transaction. */
  beforeBatch(durable: boolean): void
  /** For a setting that holds for one transaction. */
  afterBegin(transaction: Transaction<Tables>, durable: boolean): Promise<void>
  /** Runs at the end of the transaction; answers the events of the batch with their sequences. */
  beforeCommit(
    transaction: Transaction<Tables>,
    events: readonly NewEvent[],
  ): Promise<readonly LoggedEvent[]>
  /** Hears of the events of each commit, in commit order. */
  afterCommit(events: readonly LoggedEvent[]): void
  /** Whether a savepoint costs next to nothing, or a way to the server and back. */
  readonly savepointsAreCheap: boolean
  /** A race with another process that was lost through no fault of the unit: it is run again. */
  isLostRace(error: unknown): boolean
  /** A statement that failed took the whole transaction with it: each unit is run again alone. */
  isSpoiled(error: unknown): boolean
  /** Turns what the driver throws into what callers can act on. */
  toStoreError(error: unknown): unknown
}

interface QueuedUnit {
  readonly run: (transaction: WriteTransaction) => Promise<unknown>
  readonly durable: boolean
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
}

type UnitOutcome =
  | { readonly well: true; readonly value: unknown; readonly events: readonly NewEvent[] }
  | { readonly well: false; readonly error: unknown }

/** How one batch is tried, and what became of it. */
interface Trial {
  readonly savepoints: boolean
  unitThrew: boolean
}

const CAREFUL = ['careful'] as const
const HOPEFUL_THEN_CAREFUL = ['hopeful', 'careful'] as const

const BATCH_UNITS_MAX = 256
const RACES_MAX = 8

/** Set while a unit runs, so that a unit that waits for its own lane is refused instead of hanging. */
const insideUnit = new AsyncLocalStorage<true>()

/**
 * Writes one batch at a time, in the order the units came. Units that arrive
 * while a batch is written make up the next one:
 *
 *     begin
 *       savepoint · unit · release    (a unit that throws: rollback to savepoint)
 *       savepoint · unit · release
 *       events of the units that went well
 *     commit                          (one sync of the disk for all)
 *     every unit resolves, listeners hear of the events
 *
 * A batch is as durable as the most demanding unit in it. Where savepoints cost
 * a way to the server, a batch is first tried without them, and run again with
 * them when a unit throws. One that is lost as a whole, to a race with another
 * process or to a failure of one unit that cannot be undone alone, is run again
 * unit by unit.
 */
export class WriteLane {
  readonly #database: LaneDatabase
  #queue: QueuedUnit[] = []
  #running: Promise<void> | null = null
  #closed = false

  constructor(database: LaneDatabase) {
    this.#database = database
  }

  write<T>(unit: (transaction: WriteTransaction) => Promise<T>, options: WriteOptions = {}) {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    if (this.#closed) {
      reject(new AppError('unavailable', 'the store is closed: this server is shutting down'))
    } else if (insideUnit.getStore() === true) {
      reject(
        new Error('a unit of writing must not call write: the outer unit would wait for itself'),
      )
    } else {
      this.#queue.push({
        run: unit,
        durable: options.durable ?? true,
        resolve: resolve as (value: unknown) => void,
        reject,
      })
      this.#start()
    }
    return promise
  }

  /** Refuses new units, and resolves when those that were taken have ended. */
  async close(): Promise<void> {
    this.#closed = true
    while (this.#running !== null) await this.#running
  }

  #start(): void {
    // The lane has no caller: without `exit` it would live in the async context of whoever came first.
    this.#running ??= insideUnit.exit(() =>
      this.#drain().finally(() => {
        this.#running = null
        if (this.#queue.length > 0) this.#start()
      }),
    )
  }

  async #drain(): Promise<void> {
    while (this.#queue.length > 0) {
      // One turn of the event loop lets everybody who is ready join the batch.
      await new Promise((resolve) => setImmediate(resolve))
      const units = this.#queue.splice(0, BATCH_UNITS_MAX)
      await this.#writeBatch(units)
    }
  }

  async #writeBatch(units: readonly QueuedUnit[]): Promise<void> {
    const [only] = units
    if (only !== undefined && units.length === 1) return this.#writeAlone(only)
    const attempts = this.#database.savepointsAreCheap ? CAREFUL : HOPEFUL_THEN_CAREFUL
    for (const attempt of attempts) {
      const trial = { savepoints: attempt === 'careful', unitThrew: false }
      try {
        const outcomes = await this.#commit(units, trial)
        units.forEach((unit, index) => {
          settle(unit, outcomes[index] as UnitOutcome, this.#database)
        })
        return
      } catch (error) {
        const spoiled = this.#database.isSpoiled(error)
        if (attempt === 'hopeful' && (trial.unitThrew || spoiled)) continue
        if (spoiled || this.#database.isLostRace(error)) break
        const shown = this.#database.toStoreError(error)
        for (const unit of units) unit.reject(shown)
        return
      }
    }
    for (const unit of units) await this.#writeAlone(unit)
  }

  async #writeAlone(unit: QueuedUnit): Promise<void> {
    for (let race = 1; ; race += 1) {
      try {
        // A unit alone needs no savepoint: the transaction is its own.
        const [outcome] = await this.#commit([unit], { savepoints: false, unitThrew: false })
        return settle(unit, outcome as UnitOutcome, this.#database)
      } catch (error) {
        if (race < RACES_MAX && this.#database.isLostRace(error)) continue
        return unit.reject(this.#database.toStoreError(error))
      }
    }
  }

  async #commit(units: readonly QueuedUnit[], trial: Trial): Promise<readonly UnitOutcome[]> {
    const database = this.#database
    const durable = units.some((unit) => unit.durable)
    database.beforeBatch(durable)
    const { outcomes, events } = await database.sql.transaction().execute(async (transaction) => {
      await database.afterBegin(transaction, durable)
      const outcomes: UnitOutcome[] = []
      for (const unit of units) outcomes.push(await runInBatch(unit, transaction, database, trial))
      const news = outcomes.flatMap((outcome) => (outcome.well ? outcome.events : []))
      return { outcomes, events: await database.beforeCommit(transaction, news) }
    })
    if (events.length > 0) database.afterCommit(events)
    return outcomes
  }
}

function settle(unit: QueuedUnit, outcome: UnitOutcome, database: LaneDatabase): void {
  if (outcome.well) unit.resolve(outcome.value)
  else unit.reject(database.toStoreError(outcome.error))
}

/** Throws what the unit throws, unless it can be undone alone. */
async function runInBatch(
  unit: QueuedUnit,
  transaction: Transaction<Tables>,
  database: LaneDatabase,
  trial: Trial,
): Promise<UnitOutcome> {
  if (trial.savepoints) await savepoint.execute(transaction)
  try {
    const outcome = await runUnit(unit, transaction)
    if (trial.savepoints) await release.execute(transaction)
    return outcome
  } catch (error) {
    trial.unitThrew = true
    // After a lost race the whole batch starts over: its locks may be what the other side waits
    // for. Where nothing is left to roll back to, the batch is lost with its first error.
    if (!trial.savepoints || database.isLostRace(error) || !(await rolledBack(transaction))) {
      throw error
    }
    return { well: false, error }
  }
}

async function runUnit(unit: QueuedUnit, transaction: Transaction<Tables>): Promise<UnitOutcome> {
  const events: NewEvent[] = []
  const value = await insideUnit.run(true, () =>
    unit.run({ sql: transaction, append: (event) => void events.push(event) }),
  )
  return { well: true, value, events }
}

const savepoint = sql`savepoint unit`
const release = sql`release savepoint unit`
const rollBack = sql`rollback to savepoint unit`

async function rolledBack(transaction: Transaction<Tables>): Promise<boolean> {
  try {
    await rollBack.execute(transaction)
    await release.execute(transaction)
    return true
  } catch {
    return false
  }
}
