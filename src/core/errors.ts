/**
 * Failures a caller can act on. Anything else that is thrown is a bug, and is
 * answered as 500 without its message. docs/errors.md lists the same codes; a
 * test keeps the two equal.
 */
export const ERROR_STATUS = {
  invalid: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  too_large: 413,
  /** The request is well formed, but what it names is damaged or does not match. */
  damaged: 422,
  rate_limited: 429,
  internal: 500,
  unavailable: 503,
  no_room: 507,
} as const

export type ErrorCode = keyof typeof ERROR_STATUS

export type ErrorDetails = Readonly<
  Record<string, string | number | boolean | null | readonly string[]>
>

/** Codes whose cause may pass by itself: the same request can succeed later. */
const MAY_PASS: ReadonlySet<ErrorCode> = new Set(['rate_limited', 'unavailable', 'no_room'])

export class AppError extends Error {
  override readonly name = 'AppError'
  readonly code: ErrorCode
  /** Shown to the client as it is: never put a path of the server, a secret or a command line here. */
  readonly details: ErrorDetails

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.details = details
  }

  get retry(): 'never' | 'later' {
    return MAY_PASS.has(this.code) ? 'later' : 'never'
  }
}

/** What is kept of a failure in a record and said to people. */
export interface Failure {
  readonly code: ErrorCode
  readonly message: string
  readonly details: ErrorDetails
}

/** A bug keeps its message out of sight: it may hold anything. The log has it. */
export function toFailure(error: unknown): Failure {
  if (error instanceof AppError) {
    return { code: error.code, message: error.message, details: error.details }
  }
  return {
    code: 'internal',
    message: 'internal error; the server log has the details',
    details: {},
  }
}

export const operationNotFound = (operationId: string): AppError =>
  new AppError('not_found', `no operation ${operationId}`, { operationId })

export const sourceNotFound = (sourceId: string): AppError =>
  new AppError('not_found', `no source ${sourceId}`, { sourceId })

export const snapshotNotFound = (snapshotId: string): AppError =>
  new AppError('not_found', `no snapshot ${snapshotId}`, { snapshotId })

export const poolNotFound = (poolId: string): AppError =>
  new AppError('not_found', `no pool ${poolId}`, { poolId })

/** seed 004 and decisions "Across": a resource that is busy names the operation that holds it. */
export const subjectBusy = (subject: string, operationId: string): AppError =>
  new AppError('conflict', `${subject} is busy: operation ${operationId} holds it`, {
    subject,
    operationId,
  })

export const noRoom = (neededBytes: number, freeBytes: number): AppError =>
  new AppError('no_room', `not enough room: ${neededBytes} bytes needed, ${freeBytes} bytes free`, {
    neededBytes,
    freeBytes,
  })
