/** How a completed operation went. Kept apart from its status: a warning is still completed. */
export const OUTCOMES = ['success', 'warning'] as const

export type Outcome = (typeof OUTCOMES)[number]

/** One thing that is not as it should be, and did not stop the work. */
export interface Warning {
  /** A word a program can act on, such as `changed_while_read`. */
  readonly code: string
  readonly message: string
  /** What it is about: a path inside the source, for instance. */
  readonly item: string | null
}

/** Warnings kept word for word; what comes after them is only counted. */
export const WARNINGS_KEPT_MAX = 1000

export const outcomeOf = (warningCount: number): Outcome =>
  warningCount === 0 ? 'success' : 'warning'
