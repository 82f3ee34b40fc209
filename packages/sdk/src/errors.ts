import type { ProblemWire } from './wire/control.ts'

/** What went wrong before or beside an answer of the server. All other codes come from the server (docs/errors.md). */
export type ConnectionCode = 'unreachable' | 'untrusted' | 'timeout' | 'bad_answer'

/**
 * A request that did not succeed. `code` is a word a program can act on,
 * `detail` a sentence for people. `status` is 0 where no answer came.
 */
export class HoldfastError extends Error {
  override readonly name = 'HoldfastError'
  readonly code: string
  readonly status: number
  readonly detail: string
  readonly details: Readonly<Record<string, unknown>>
  readonly requestId: string | null

  constructor(
    code: string,
    status: number,
    detail: string,
    options: {
      details?: Readonly<Record<string, unknown>>
      requestId?: string | null
      cause?: unknown
    } = {},
  ) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.status = status
    this.detail = detail
    this.details = options.details ?? {}
    this.requestId = options.requestId ?? null
  }
}

const CODE_OF_STATUS: Readonly<Record<number, string>> = {
  400: 'invalid',
  401: 'unauthenticated',
  403: 'forbidden',
  404: 'not_found',
  409: 'conflict',
  413: 'too_large',
  422: 'damaged',
  429: 'rate_limited',
  503: 'unavailable',
  507: 'no_room',
}

const text = (value: unknown): string | null =>
  typeof value === 'string' && value !== '' ? value : null

/** Reads a problem body; what is missing, as from a proxy in between, is filled from the status. */
export function toHoldfastError(
  status: number,
  body: unknown,
  requestIdHeader: string | null,
): HoldfastError {
  const problem = (typeof body === 'object' && body !== null ? body : {}) as Partial<ProblemWire>
  const code = text(problem.code) ?? CODE_OF_STATUS[status] ?? 'internal'
  const detail = text(problem.detail) ?? text(problem.title) ?? `the server answered ${status}`
  return new HoldfastError(code, status, detail, {
    details: typeof problem.details === 'object' ? problem.details : {},
    requestId: text(problem.requestId) ?? requestIdHeader,
  })
}

/** Whether this failure says that nobody answered, as opposed to a refusal. */
export const isConnectionLoss = (error: unknown): error is HoldfastError =>
  error instanceof HoldfastError && error.status === 0
