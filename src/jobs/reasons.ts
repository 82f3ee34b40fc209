import type { Operation } from '../core/operation.ts'

// Every status says why, in a sentence for people. They all stand here.

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'] as const

/** Bytes as people say them, in powers of 1000: `3.1 GB`. */
export function sayBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 999.95 && unit < UNITS.length - 1) {
    value /= 1000
    unit += 1
  }
  const digits = unit === 0 ? value.toFixed(0) : value.toFixed(1).replace(/\.0$/, '')
  return `${digits} ${UNITS[unit]}`
}

const times = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`

/** `resumed 2 times, 3.1 GB not done again`, or nothing where it never was. */
export function sayResumed(
  operation: Pick<Operation, 'resumedCount' | 'bytesNotRedone'>,
): string | null {
  if (operation.resumedCount === 0) return null
  const { resumedCount } = operation
  const resumed = resumedCount === 1 ? 'resumed once' : `resumed ${resumedCount} times`
  if (operation.bytesNotRedone === 0) return resumed
  return `${resumed}, ${sayBytes(operation.bytesNotRedone)} not done again`
}

const withHistory = (reason: string, operation: Operation): string => {
  const resumed = sayResumed(operation)
  return resumed === null ? reason : `${reason}; ${resumed}`
}

const hasCheckpoint = (operation: Operation): boolean => operation.checkpoint !== null

const goesOn = (operation: Operation): string =>
  hasCheckpoint(operation) ? 'waiting to resume' : 'waiting to start again'

/** Whether a checkpoint can be gone on from, its engine finds out; it then says what that saved. */
const runningAgain = (waiting: Operation): string => {
  if (waiting.attempt === 0) return 'running'
  return hasCheckpoint(waiting)
    ? 'running again, from the last checkpoint where that is still of use'
    : 'running again from the start: the run before ended without a checkpoint'
}

export const reasons = {
  waiting: 'waiting for a worker',
  /** Of an operation that is taken from the queue: `waiting` is what it was. */
  running: (waiting: Operation) => withHistory(runningAgain(waiting), waiting),
  resumed: (operation: Operation) => withHistory('running', operation),
  pausing: (by: string) => `pausing, as asked by ${by}`,
  cancelling: (by: string) => `cancelling, as asked by ${by}`,
  paused: (by: string) => `paused by ${by}`,
  unpaused: (by: string, operation: Operation) =>
    `resumed by ${by}; ${hasCheckpoint(operation) ? 'waiting to go on from where it was' : 'waiting for a worker'}`,
  cancelled: (by: string) => `cancelled by ${by}`,
  vanished: (operation: Operation) => `the worker vanished; ${goesOn(operation)}`,
  restarted: (operation: Operation) => `the server ended without warning; ${goesOn(operation)}`,
  shutdown: (operation: Operation) => `the server is stopping; ${goesOn(operation)}`,
  lost: (operation: Operation) => `the worker lost touch with the records; ${goesOn(operation)}`,
  completed: (operation: Operation, warningCount: number) =>
    withHistory(
      warningCount === 0 ? 'completed' : `completed with ${times(warningCount, 'warning')}`,
      operation,
    ),
  failed: (message: string) => `failed: ${message}`,
} as const
