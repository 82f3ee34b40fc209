import { backoffMs, delay } from './backoff.ts'
import { HoldfastError, toHoldfastError } from './errors.ts'

export type TokenSource = string | (() => string | null | Promise<string | null>)

export interface TransportOptions {
  /** Where the server is, such as `http://127.0.0.1:8080`. In a browser: the page's own origin when left out. */
  readonly url?: string
  /** Sent as `Authorization: Bearer`. A function is asked for every request. */
  readonly token?: TokenSource
  readonly fetch?: typeof fetch
  /** How often a safe request is sent again after a lost connection. */
  readonly retriesMax?: number
  readonly retryFirstMs?: number
  readonly retryDelayMaxMs?: number
  /** Until an answer begins. */
  readonly timeoutMs?: number
}

export type Query = Readonly<Record<string, string | number | boolean | null | undefined>>

export interface RequestOptions {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly query?: Query
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** Makes a submission safe to send again: the server does it once. */
  readonly idempotencyKey?: string
  readonly signal?: AbortSignal | undefined
  readonly timeoutMs?: number
}

const RETRIES_MAX = 5
const RETRY_FIRST_MS = 200
const RETRY_DELAY_MAX_MS = 5_000
const TIMEOUT_MS = 30_000
/** What a proxy or a server that is starting says; the same request can succeed a moment later. */
const MAY_PASS: ReadonlySet<number> = new Set([429, 502, 503, 504])

/** Asking again changes nothing of these, though no answer came. */
const FINAL: ReadonlySet<string> = new Set(['bad_answer', 'untrusted'])

/** Not `crypto.randomUUID`: browsers have that on secure pages only. */
export function newIdempotencyKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

function pageOrigin(): string {
  const origin = (globalThis as { location?: { origin?: string } }).location?.origin
  if (origin === undefined) {
    throw new TypeError('the url of the server is missing, such as http://127.0.0.1:8080')
  }
  return origin
}

/** Sends requests: authentication, errors, time-outs, and trying again where that is harmless. */
export class Transport {
  readonly url: string
  readonly #options: TransportOptions
  readonly #fetch: typeof fetch

  constructor(options: TransportOptions) {
    this.url = (options.url ?? pageOrigin()).replace(/\/+$/, '')
    this.#options = options
    // Called without `this`: browsers refuse a `fetch` that has lost its window.
    this.#fetch = options.fetch ?? ((input, init) => fetch(input, init))
  }

  async token(): Promise<string | null> {
    const { token } = this.#options
    return typeof token === 'function' ? await token() : (token ?? null)
  }

  /** The JSON of an answer; `undefined` for an empty one. */
  async json<T>(path: string, options: RequestOptions = {}): Promise<T> {
    return await this.#retrying(options, async () => {
      const response = await this.#send(path, options)
      try {
        const body = await response.text()
        return (body === '' ? undefined : JSON.parse(body)) as T
      } catch (error) {
        throw toConnectionError(error, this.url, options.signal)
      }
    })
  }

  /** The answer itself, for reading its body as it comes. */
  async response(path: string, options: RequestOptions = {}): Promise<Response> {
    return await this.#retrying(options, () => this.#send(path, options))
  }

  address(path: string, query: Query = {}): string {
    const url = new URL(this.url + path)
    for (const [name, value] of Object.entries(query)) {
      if (value !== null && value !== undefined) url.searchParams.set(name, String(value))
    }
    return url.href
  }

  async #retrying<T>(options: RequestOptions, send: () => Promise<T>): Promise<T> {
    const harmless = (options.method ?? 'GET') === 'GET' || options.idempotencyKey !== undefined
    const retriesMax = harmless ? (this.#options.retriesMax ?? RETRIES_MAX) : 0
    for (let count = 1; ; count += 1) {
      try {
        return await send()
      } catch (error) {
        if (options.signal?.aborted) throw error
        if (!(error instanceof HoldfastError) || count > retriesMax) throw error
        if (FINAL.has(error.code) || (error.status !== 0 && !MAY_PASS.has(error.status))) {
          throw error
        }
        const askedMs = Number(error.details['retryAfterSeconds'] ?? 0) * 1000
        const ownMs = backoffMs(count, {
          firstMs: this.#options.retryFirstMs ?? RETRY_FIRST_MS,
          maxMs: this.#options.retryDelayMaxMs ?? RETRY_DELAY_MAX_MS,
        })
        await delay(Math.max(ownMs, Number.isFinite(askedMs) ? askedMs : 0), options.signal)
      }
    }
  }

  async #send(path: string, options: RequestOptions): Promise<Response> {
    const timeout = new AbortController()
    const timeoutMs = options.timeoutMs ?? this.#options.timeoutMs ?? TIMEOUT_MS
    const late = new HoldfastError('timeout', 0, `no answer from ${this.url} in ${timeoutMs} ms`)
    const timer = setTimeout(() => timeout.abort(late), timeoutMs)
    try {
      options.signal?.throwIfAborted()
      const signals = [timeout.signal, ...(options.signal ? [options.signal] : [])]
      const response = await this.#fetch(this.address(path, options.query), {
        method: options.method ?? 'GET',
        headers: await this.#headers(options),
        signal: AbortSignal.any(signals),
        ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
      })
      if (!response.ok) throw await readFailure(response)
      return response
    } catch (error) {
      if (error instanceof HoldfastError) throw error
      throw toConnectionError(error, this.url, options.signal)
    } finally {
      clearTimeout(timer)
    }
  }

  async #headers(options: RequestOptions): Promise<Record<string, string>> {
    const token = await this.token()
    return {
      accept: 'application/json',
      ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(options.idempotencyKey === undefined
        ? {}
        : { 'idempotency-key': options.idempotencyKey }),
      ...options.headers,
    }
  }
}

async function readFailure(response: Response): Promise<HoldfastError> {
  let body: unknown
  try {
    body = await response.json()
  } catch {
    // A proxy's page: its status is all there is to say.
  }
  const error = toHoldfastError(response.status, body, response.headers.get('x-request-id'))
  const retryAfter = response.headers.get('retry-after')
  if (retryAfter === null) return error
  return new HoldfastError(error.code, error.status, error.detail, {
    details: { ...error.details, retryAfterSeconds: Number(retryAfter) },
    requestId: error.requestId,
  })
}

/** The caller's own abort stays what it is; all else means that the connection was lost. */
function toConnectionError(error: unknown, url: string, signal?: AbortSignal): Error {
  if (signal?.aborted) return signal.reason instanceof Error ? signal.reason : abortError(error)
  if (error instanceof SyntaxError) {
    return new HoldfastError('bad_answer', 0, `${url} answered something that is no JSON`, {
      cause: error,
    })
  }
  const cause = error instanceof Error ? (error.cause as { code?: unknown } | undefined) : undefined
  const untrusted = distrustOf(String(cause?.code ?? ''))
  if (untrusted !== null) {
    return new HoldfastError('untrusted', 0, `${url} ${untrusted} (${String(cause?.code)})`, {
      cause: error,
    })
  }
  const why = typeof cause?.code === 'string' ? ` (${cause.code})` : ''
  return new HoldfastError('unreachable', 0, `cannot reach ${url}: is the server running?${why}`, {
    cause: error,
  })
}

/** Why Node trusts no certificate (its documentation, "X509 certificate error codes"). Browsers say nothing of it. */
function distrustOf(code: string): string | null {
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return 'has a certificate for another name: use the name that is in the certificate'
  }
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') {
    return 'has a certificate that is out of its time: renew it, and look at the clock of this machine'
  }
  const isUnknown = /SELF_SIGNED|UNABLE_TO_(GET_ISSUER|VERIFY)|CERT_UNTRUSTED|CERT_REJECTED/.test(
    code,
  )
  if (!isUnknown) return null
  return 'has a certificate that nobody vouches for here: set NODE_EXTRA_CA_CERTS to its file, or to that of its authority'
}

const abortError = (error: unknown): Error =>
  error instanceof Error ? error : new Error('aborted', { cause: error })
