import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import cors from '@fastify/cors'
import fastifyStatic from '@fastify/static'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { AppError } from '../core/errors.ts'
import { JSON_BODY_BYTES_MAX } from '../core/limits.ts'
import { isLoopback } from './addresses.ts'
import { Gate } from './auth.ts'
import { controlFace } from './control/control.ts'
import { toProblem } from './control/wire.ts'
import { answerErrors } from './errors.ts'
import type { Face, Services } from './face.ts'
import { registerHealth } from './health.ts'
import { requestIdOf } from './request-id.ts'
import { Upgrades } from './upgrades.ts'
import { wingsFace } from './wings/wings.ts'

export interface ServerOptions {
  readonly services: Services
  readonly host: string
  /** 0 picks a free one. */
  readonly port: number
  readonly tls: { readonly certFile: string; readonly keyFile: string } | null
  /** A proxy in front speaks TLS, and says in `X-Forwarded-For` who calls. */
  readonly behindProxy: boolean
  /** Plain HTTP off loopback without a proxy: only for networks that are trusted whole. */
  readonly allowPlainHttp?: boolean
  /** Pages of other origins that may call the API. */
  readonly allowedOrigins?: readonly string[]
  /** The built dashboard. */
  readonly webFolder: string
  readonly version: string
  /** Until a request must be here whole, its body included. */
  readonly requestTimeoutMs?: number
  readonly heartbeatMs?: number
  /** `false`: no dialect and no dashboard, only `/healthz` and `/metrics`. */
  readonly withFaces?: boolean
}

export interface RunningServer {
  readonly url: string
  /** The same for whoever is on this machine: `0.0.0.0` is no address to go to. */
  readonly localUrl: string
  readonly port: number
  /** Takes no more requests, finishes those that are under way, and tells every socket. */
  close(): Promise<void>
}

/** All dialects, in the order in which their routes are added. */
const FACES: readonly Face[] = [controlFace, wingsFace]

const REQUEST_TIMEOUT_MS = 5 * 60_000
const HEADERS_TIMEOUT_MS = 60_000
const HEARTBEAT_MS = 30_000
/** After this long, what is still being sent is cut off. */
const CLOSE_PATIENCE_MS = 10_000

export async function startServer(options: ServerOptions): Promise<RunningServer> {
  assertMayListen(options)
  const { app, upgrades, stop } = await buildServer(options)
  try {
    await app.listen({ host: options.host, port: options.port })
  } catch (error) {
    await app.close()
    throw toListenError(error, options)
  }
  const { port } = app.server.address() as AddressInfo
  const scheme = options.tls === null ? 'http' : 'https'
  const urlAt = (host: string) => `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`
  const close = async () => {
    stop()
    const patience = setTimeout(() => app.server.closeAllConnections(), CLOSE_PATIENCE_MS)
    await Promise.all([upgrades.close(), app.close()])
    clearTimeout(patience)
  }
  const isEverywhere = /^(0\.0\.0\.0|::|\[::\])$/.test(options.host)
  const localUrl = urlAt(isEverywhere ? '127.0.0.1' : options.host)
  return { url: urlAt(options.host), localUrl, port, close }
}

/** Tokens and backups in the clear on a network: only on purpose. */
function assertMayListen({ host, tls, behindProxy, allowPlainHttp }: ServerOptions): void {
  if (tls !== null || behindProxy || allowPlainHttp === true || isLoopback(host)) return
  throw new AppError(
    'invalid',
    `refusing plain HTTP on ${host}: tokens and files would cross the network in the clear. ` +
      'Set HOLDFAST_TLS_CERT and HOLDFAST_TLS_KEY to a certificate and its key, ' +
      'or HOLDFAST_BEHIND_PROXY=1 when a proxy in front speaks TLS, or HOLDFAST_HOST=127.0.0.1',
    { host },
  )
}

function toListenError(error: unknown, { host, port }: ServerOptions): unknown {
  const code = (error as { code?: string }).code
  const where = { host, port }
  if (code === 'EADDRINUSE') {
    const message = `port ${port} on ${host} is taken: end what listens there, or set HOLDFAST_PORT`
    return new AppError('unavailable', message, where, error)
  }
  if (code === 'EACCES' || code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
    const message = `may not listen on ${host} port ${port} (${code}): set HOLDFAST_HOST and HOLDFAST_PORT`
    return new AppError('invalid', message, where, error)
  }
  return error
}

/** The server without a listener: for tests that inject requests. */
export async function buildServer(options: ServerOptions): Promise<{
  app: FastifyInstance
  upgrades: Upgrades
  stop: () => void
}> {
  const { services, withFaces = true } = options
  const app = await createApp(options)
  const closing = new AbortController()
  const upgrades = new Upgrades({ intervalMs: options.heartbeatMs ?? HEARTBEAT_MS })
  upgrades.attach(app.server)
  app.addHook('onRequest', async (request, reply) => {
    addHeaders(request, reply)
  })
  takeEmptyBodies(app)
  answerErrors(app, {
    log: services.log,
    contentType: 'application/problem+json',
    toBody: toProblem,
  })
  if (options.allowedOrigins !== undefined && options.allowedOrigins.length > 0) {
    await app.register(cors, { origin: [...options.allowedOrigins], ...CORS })
  }
  const gate = new Gate(services)
  registerHealth(app, { services, gate, version: options.version })
  const faceOptions = {
    services,
    gate,
    behindProxy: options.behindProxy,
    upgrades,
    closing: closing.signal,
    version: options.version,
    allowedOrigins: options.allowedOrigins ?? [],
  }
  for (const face of withFaces ? FACES : []) await face(app, faceOptions)
  if (withFaces) await registerDashboard(app, options.webFolder)
  await app.ready()
  return { app, upgrades, stop: () => closing.abort() }
}

const CORS = {
  methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
  allowedHeaders: ['authorization', 'content-type', 'idempotency-key', 'prefer', 'range'],
  exposedHeaders: [
    'content-disposition',
    'content-range',
    'etag',
    'location',
    'retry-after',
    'x-request-id',
  ],
  maxAge: 600,
}

/** Many clients name JSON as the type of a body that they do not send: to `POST …/pause`, for one. */
function takeEmptyBodies(app: FastifyInstance): void {
  const parseJson = app.getDefaultJsonParser('error', 'error')
  app.removeContentTypeParser('application/json')
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body === '') return done(null, undefined)
    return parseJson(request, String(body), done)
  })
}

async function createApp(options: ServerOptions): Promise<FastifyInstance> {
  const requestTimeout = options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS
  const shared = {
    logger: false as const,
    bodyLimit: JSON_BODY_BYTES_MAX,
    // One hop: the address that the proxy itself has seen, not what a client wrote before it.
    trustProxy: options.behindProxy ? isNearestHop : false,
    genReqId: requestIdOf,
    frameworkErrors: answerUnreadable,
    requestIdHeader: false as const,
    requestTimeout,
    forceCloseConnections: 'idle' as const,
    routerOptions: { maxParamLength: 300 },
    // Names in objects from outside that reach the prototype are refused, not removed.
    onProtoPoisoning: 'error' as const,
    onConstructorPoisoning: 'error' as const,
  }
  const http = {
    requestTimeout,
    // Node looks at the time of the whole request only where that of its head is not longer.
    headersTimeout: Math.min(requestTimeout, HEADERS_TIMEOUT_MS),
    connectionsCheckingInterval: Math.min(requestTimeout, 10_000),
  }
  if (options.tls === null) return fastify({ ...shared, http })
  const [cert, key] = await Promise.all([
    readTlsFile(options.tls.certFile, 'HOLDFAST_TLS_CERT'),
    readTlsFile(options.tls.keyFile, 'HOLDFAST_TLS_KEY'),
  ])
  return fastify({ ...shared, https: { ...http, cert, key, minVersion: 'TLSv1.2' } }) as never
}

const isNearestHop = (_address: string, hop: number): boolean => hop === 0

async function readTlsFile(file: string, variable: string): Promise<Buffer> {
  try {
    return await readFile(file)
  } catch (error) {
    const code = (error as { code?: string }).code ?? 'unknown'
    throw new AppError('invalid', `${variable} cannot be read (${code}): ${file}`, {}, error)
  }
}

/** React and the API page set styles on elements; nothing else comes from anywhere but here. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'self'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ')

function addHeaders(request: FastifyRequest, reply: FastifyReply): void {
  reply.header('x-request-id', request.id)
  reply.header('x-content-type-options', 'nosniff')
  reply.header('x-frame-options', 'DENY')
  reply.header('referrer-policy', 'no-referrer')
  reply.header('cross-origin-opener-policy', 'same-origin')
  reply.header('content-security-policy', CONTENT_SECURITY_POLICY)
}

/** An address that cannot be read reaches no hook and no handler of errors. */
async function answerUnreadable(
  _error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  addHeaders(request, reply)
  const error = new AppError('invalid', 'the address of the request cannot be read')
  await sendProblem(reply, error, 400)
}

/** The dashboard's files. Its own pages have addresses that only its script knows: they get its one page. */
async function registerDashboard(app: FastifyInstance, webFolder: string): Promise<void> {
  const isBuilt = existsSync(join(webFolder, 'index.html'))
  if (isBuilt) {
    await app.register(fastifyStatic, {
      root: webFolder,
      cacheControl: false,
      setHeaders: (reply, path) => {
        // Names below assets/ carry the hash of their content.
        const immutable = path.includes('/assets/') || path.includes('\\assets\\')
        reply.header(
          'cache-control',
          immutable ? 'public, max-age=31536000, immutable' : 'no-cache',
        )
      },
    })
  }
  app.setNotFoundHandler(async (request, reply) => {
    if (isBuilt && wantsPage(request)) return await reply.sendFile('index.html')
    return await answerNotFound(request, reply, isBuilt)
  })
}

const NOT_PAGES = /^\/(api|docs|openapi\.json|metrics|healthz|assets)(\/|$)/

function wantsPage({ method, url, headers }: FastifyRequest): boolean {
  if (method !== 'GET' && method !== 'HEAD') return false
  const path = url.split('?', 1)[0] ?? '/'
  return !NOT_PAGES.test(path) && (headers.accept ?? '').includes('text/html')
}

async function answerNotFound(
  request: FastifyRequest,
  reply: FastifyReply,
  isBuilt: boolean,
): Promise<FastifyReply> {
  const path = request.url.split('?', 1)[0] ?? '/'
  const detail =
    path === '/' && !isBuilt
      ? 'the dashboard is not built: start with npm start, which builds it'
      : `there is no ${request.method} ${path.slice(0, 200)}; /docs lists what there is`
  return await sendProblem(reply, new AppError('not_found', detail), 404)
}

const sendProblem = async (
  reply: FastifyReply,
  error: AppError,
  status: number,
): Promise<FastifyReply> =>
  await reply
    .code(status)
    .type('application/problem+json')
    .serializer(JSON.stringify)
    .send(toProblem({ error, status, requestId: reply.request.id }))
