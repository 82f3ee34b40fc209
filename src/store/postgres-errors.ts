import { AbortedTransactionError } from 'kysely'
import pg from 'pg'
import { AppError } from '../core/errors.ts'

/** serialization_failure, deadlock_detected: https://www.postgresql.org/docs/current/errcodes-appendix.html */
const LOST_RACES: ReadonlySet<string> = new Set(['40001', '40P01'])

export const isLostRace = (error: unknown): boolean =>
  error instanceof pg.DatabaseError && error.code !== undefined && LOST_RACES.has(error.code)

const IN_FAILED_TRANSACTION = '25P02'

/** A statement failed earlier in the transaction, so that nothing of it was committed. */
export const isSpoiled = (error: unknown): boolean =>
  error instanceof AbortedTransactionError ||
  (error instanceof pg.DatabaseError && error.code === IN_FAILED_TRANSACTION)

const TROUBLE: Readonly<Record<string, readonly ['unavailable' | 'no_room', string]>> = {
  '0A000': ['unavailable', 'the tables were changed by a newer version; try again'],
  '25006': ['unavailable', 'the database takes no writes: it is read-only'],
  '28000': ['unavailable', 'the database refuses the user; see the user and password of its URL'],
  '28P01': ['unavailable', 'the database refuses the user; see the user and password of its URL'],
  '3D000': ['unavailable', 'there is no database of the name in the URL; create it'],
  '40001': ['unavailable', 'others kept changing the same records; try again'],
  '40P01': ['unavailable', 'others kept changing the same records; try again'],
  '53100': ['no_room', 'the disk of the database is full; make room and try again'],
  '55P03': ['unavailable', 'others keep the records locked; try again'],
  '57014': ['unavailable', 'the database took too long to answer; try again'],
}
/** Connection, resources, an operator's hand, the system below. */
const TROUBLE_CLASSES: ReadonlySet<string> = new Set(['08', '53', '57', '58'])

/** Turns what callers can only wait out into `unavailable`. A statement that is wrong stays a bug. */
export function toStoreError(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof AppError) return error
  if (!(error instanceof pg.DatabaseError)) {
    return isFromDriver(error) ? unreachable(error) : error
  }
  const code = error.code ?? ''
  const [kind, message] = TROUBLE[code] ?? []
  if (kind !== undefined && message !== undefined) return new AppError(kind, message, {}, error)
  return TROUBLE_CLASSES.has(code.slice(0, 2)) ? unreachable(error) : error
}

const unreachable = (cause: Error): AppError =>
  new AppError(
    'unavailable',
    'the database cannot be reached or is busy; see that it runs and try again',
    {},
    cause,
  )

/** The driver has no class of its own for a connection that fails: it is known by what it says. */
const DRIVER_WORDS = /connection|connect|timeout|not queryable|client was closed|socket|ended/i

const isFromDriver = (error: Error): boolean =>
  ('syscall' in error && 'code' in error) ||
  (error.constructor === Error && DRIVER_WORDS.test(error.message))
