import type { FastifyInstance, FastifyReply } from 'fastify'
import { AppError, ERROR_STATUS, type ErrorCode } from '../core/errors.ts'
import type { Log } from '../platform/log.ts'

export interface Answer {
  readonly error: AppError
  readonly status: number
  readonly requestId: string
}

/** What Fastify adds to an error of its own, and of a schema that did not fit. */
interface HttpError {
  readonly statusCode?: number
  readonly code?: string
  readonly message: string
  readonly validation?: readonly { readonly instancePath: string; readonly message?: string }[]
  readonly validationContext?: string
}

/** Fields named in one message; the rest is only counted. */
const FIELDS_SHOWN_MAX = 10

/**
 * The one place where a failure becomes a response. Handlers throw; none of
 * them catches to answer. What is no `AppError` is a bug: logged whole, and
 * answered without its message.
 */
export function answerErrors(
  app: FastifyInstance,
  options: {
    readonly log: Log
    readonly contentType: string
    readonly toBody: (answer: Answer) => unknown
  },
): void {
  app.setErrorHandler(async (thrown, request, reply) => {
    const { error, status } = toAnswer(thrown)
    if (status >= 500 && !(thrown instanceof AppError)) {
      options.log.error('request failed', { requestId: request.id, url: routeOf(request), thrown })
    }
    addHeaders(reply, error)
    return await reply
      .code(status)
      .type(options.contentType)
      .serializer(JSON.stringify)
      .send(options.toBody({ error, status, requestId: request.id }))
  })
}

/** The pattern of the route, not the address: that may carry a token. */
const routeOf = (request: { method: string; routeOptions: { url?: string | undefined } }): string =>
  `${request.method} ${request.routeOptions.url ?? '(unknown)'}`

function addHeaders(reply: FastifyReply, error: AppError): void {
  if (error.code === 'unauthenticated') reply.header('www-authenticate', 'Bearer')
  const seconds = error.details['retryAfterSeconds']
  if (typeof seconds === 'number') reply.header('retry-after', String(Math.ceil(seconds)))
}

function toAnswer(thrown: unknown): { error: AppError; status: number } {
  if (thrown instanceof AppError) return { error: thrown, status: ERROR_STATUS[thrown.code] }
  if (isHttpError(thrown)) {
    if (thrown.validation !== undefined) {
      return { error: toInvalid(thrown, thrown.validation), status: 400 }
    }
    const status = thrown.statusCode ?? 500
    if (status >= 400 && status < 500) {
      return { error: new AppError(codeOf(status), sentenceOf(thrown)), status }
    }
    if (status === 503) {
      return { error: new AppError('unavailable', 'server is going away; try again'), status }
    }
  }
  const message = 'internal error; the server log has the details'
  return { error: new AppError('internal', message), status: 500 }
}

const isHttpError = (thrown: unknown): thrown is HttpError =>
  thrown instanceof Error && ('statusCode' in thrown || 'validation' in thrown)

function toInvalid(
  { validationContext }: HttpError,
  validation: NonNullable<HttpError['validation']>,
): AppError {
  const where = validationContext === 'querystring' ? 'query' : (validationContext ?? 'request')
  const fields = validation.slice(0, FIELDS_SHOWN_MAX).map(({ instancePath, message }) => {
    const field = instancePath.slice(1).replaceAll('/', '.')
    const said = (message ?? 'is not valid').replace(/^Invalid input: /, '')
    return field === '' ? said : `${field}: ${said}`
  })
  const more =
    validation.length > fields.length ? ` and ${validation.length - fields.length} more` : ''
  return new AppError('invalid', `${where} is not as expected: ${fields.join('; ')}${more}`, {
    in: where,
    fields,
  })
}

const CODE_OF_STATUS: ReadonlyMap<number, ErrorCode> = new Map(
  (Object.entries(ERROR_STATUS) as [ErrorCode, number][]).map(([code, status]) => [status, code]),
)

const codeOf = (status: number): ErrorCode => CODE_OF_STATUS.get(status) ?? 'invalid'

const SENTENCES: Readonly<Record<string, string>> = {
  FST_ERR_CTP_INVALID_JSON_BODY: 'body is no valid JSON',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'body is of an unknown type: send content-type application/json',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'body is not as long as content-length says',
  FST_ERR_CTP_BODY_TOO_LARGE: 'body is too large',
}

const sentenceOf = ({ code, message }: HttpError): string =>
  SENTENCES[code ?? ''] ?? message.charAt(0).toLowerCase() + message.slice(1)
