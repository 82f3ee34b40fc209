import { AppError } from '../core/errors.ts'
import type { Clock } from '../platform/clock.ts'
import type { Log, LogFields } from '../platform/log.ts'
import type { Database } from '../store/database.ts'

/** The same trouble is logged again after this long. */
const SAY_INTERVAL_MS = 10_000

/** What the store itself refuses has what its driver said as the cause; what a unit throws has none. */
export const isStoreTrouble = (error: unknown): error is AppError =>
  error instanceof AppError &&
  (error.code === 'no_room' || error.code === 'unavailable') &&
  error.cause !== undefined

/**
 * Knows whether the records take what is written. Everybody tries again while
 * they do not, for hours if it must be: that is logged now and then, and not
 * with every try.
 */
export class StoreTrouble {
  readonly #clock: Pick<Clock, 'monotonicMs'>
  readonly #log: Log
  #standing: AppError | null = null
  #saidAtMs = Number.NEGATIVE_INFINITY
  #unsaid = 0

  constructor(clock: Pick<Clock, 'monotonicMs'>, log: Log) {
    this.#clock = clock
    this.#log = log
  }

  /** Why the last write was refused; `null` while all is well. */
  get standing(): AppError | null {
    return this.#standing
  }

  /** The same database; what becomes of its writes is noticed here. */
  watch(database: Database): Database {
    return {
      dialect: database.dialect,
      sql: database.sql,
      write: async (unit, options) => {
        try {
          const value = await database.write(unit, options)
          this.#standing = null
          return value
        } catch (error) {
          if (isStoreTrouble(error)) this.#standing = error
          throw error
        }
      },
      onEvents: (listener) => database.onEvents(listener),
      wake: (topic, id) => database.wake(topic, id),
      onWake: (listener) => database.onWake(listener),
      close: () => database.close(),
    }
  }

  /** Logs a failure that is tried again; one of the store only where that was not said just now. */
  warn(message: string, fields: LogFields & { readonly error: unknown }): void {
    if (!isStoreTrouble(fields.error)) {
      this.#log.warn(message, fields)
      return
    }
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#saidAtMs < SAY_INTERVAL_MS) {
      this.#unsaid += 1
      return
    }
    this.#log.warn(message, this.#unsaid === 0 ? fields : { ...fields, notLogged: this.#unsaid })
    this.#saidAtMs = nowMs
    this.#unsaid = 0
  }
}
