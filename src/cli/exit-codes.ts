import type { OperationWire } from '@holdfast/sdk'

/** Run contract: what a script can tell from the way a command ended. */
export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  warnings: 3,
  notFound: 4,
  refused: 5,
  interrupted: 130,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

const EXIT_OF_ERROR: Readonly<Record<string, ExitCode>> = {
  usage: EXIT.usage,
  invalid: EXIT.usage,
  not_found: EXIT.notFound,
  conflict: EXIT.refused,
  forbidden: EXIT.refused,
  unauthenticated: EXIT.refused,
}

export const exitCodeOfError = (code: string): ExitCode => EXIT_OF_ERROR[code] ?? EXIT.failed

export function exitCodeOfOperation(
  operation: Pick<OperationWire, 'status' | 'outcome' | 'error'>,
): ExitCode {
  if (operation.status !== 'completed') return EXIT.failed
  return operation.outcome === 'warning' ? EXIT.warnings : EXIT.done
}
