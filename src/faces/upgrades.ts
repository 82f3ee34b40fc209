import { randomUUID } from 'node:crypto'
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import { RateLimit } from '../auth/rate-limit.ts'
import { requestIdOf } from './request-id.ts'

export interface UpgradeRoute {
  /** Matched against the path without its query. */
  readonly path: RegExp
  handle(request: IncomingMessage, socket: Duplex, head: Buffer, match: RegExpMatchArray): void
}

export interface Heartbeat {
  readonly intervalMs: number
}

/** RFC 6455, section 7.4.1: the endpoint is going away. */
const CLOSE_GOING_AWAY = 1001
/** A message that a client may send: a sign-in or a list of topics. */
const MESSAGE_BYTES_MAX = 256 * 1024
const CLOSE_PATIENCE_MS = 2_000
/** Beyond this much on its way to a peer, its pings are not answered any more. */
const PONG_BYTES_MAX = 16 * 1024
/** Nobody who means well asks more often whether we are there. */
const PINGS = { burst: 100, perSecond: 20 }

/**
 * The WebSockets of all faces, on the HTTP server's own port. Faces add their
 * paths; sockets are watched, and told when the server goes away.
 */
export class Upgrades {
  readonly #routes: UpgradeRoute[] = []
  readonly #sockets = new WebSocketServer({
    noServer: true,
    clientTracking: true,
    maxPayload: MESSAGE_BYTES_MAX,
    perMessageDeflate: false,
    autoPong: false,
  })
  readonly #alive = new WeakSet<WebSocket>()
  readonly #heartbeat: NodeJS.Timeout
  #closing = false

  constructor(heartbeat: Heartbeat = { intervalMs: 30_000 }) {
    this.#heartbeat = setInterval(() => this.#beat(), heartbeat.intervalMs)
    this.#heartbeat.unref()
  }

  get socketCount(): number {
    return this.#sockets.clients.size
  }

  add(route: UpgradeRoute): void {
    this.#routes.push(route)
  }

  /** Takes the `upgrade` events of a server. */
  attach(server: Pick<Server, 'on'>): void {
    server.on('upgrade', (request, socket, head) => {
      // A peer that resets before the handshake is over must not end the process.
      socket.on('error', () => socket.destroy())
      const requestId = requestIdOf(request)
      if (this.#closing) {
        return refuseUpgrade(socket, 503, 'Service Unavailable', { requestId })
      }
      const path = pathOf(request.url)
      for (const route of this.#routes) {
        const match = path.match(route.path)
        if (match !== null) return open(route, request, socket, head, match)
      }
      refuseUpgrade(socket, 404, 'Not Found', { requestId })
    })
  }

  /** Finishes the handshake. The socket is pinged, and ended when it answers no more. */
  accept(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    opened: (webSocket: WebSocket) => void,
  ): void {
    this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
      this.#alive.add(webSocket)
      webSocket.on('pong', () => this.#alive.add(webSocket))
      webSocket.on('message', () => this.#alive.add(webSocket))
      const pings = new RateLimit({ ...PINGS, keysMax: 1 })
      webSocket.on('ping', (data) => {
        if (pings.take('', performance.now()) === null) answerPing(webSocket, data)
        else webSocket.terminate()
      })
      webSocket.on('error', () => webSocket.terminate())
      opened(webSocket)
    })
  }

  /** Tells every socket that the server goes away, and ends those that do not answer. */
  async close(): Promise<void> {
    this.#closing = true
    clearInterval(this.#heartbeat)
    const ended = [...this.#sockets.clients].map((webSocket) => closeSocket(webSocket))
    await Promise.all(ended)
    this.#sockets.close()
  }

  #beat(): void {
    for (const webSocket of this.#sockets.clients) {
      if (!this.#alive.delete(webSocket)) webSocket.terminate()
      else webSocket.ping()
    }
  }
}

/** An address that cannot be read, such as `%zz`, is refused and not a crash. */
function open(
  route: UpgradeRoute,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  match: RegExpMatchArray,
): void {
  try {
    route.handle(request, socket, head, match)
  } catch {
    refuseUpgrade(socket, 400, 'Bad Request', { requestId: requestIdOf(request) })
  }
}

/**
 * RFC 6455, section 5.5.3: an endpoint "MAY elect to send a Pong frame for only the
 * most recently processed Ping frame". A peer that pings and never reads costs nothing.
 */
function answerPing(webSocket: WebSocket, data: Buffer): void {
  if (webSocket.readyState !== webSocket.OPEN) return
  if (webSocket.bufferedAmount <= PONG_BYTES_MAX) webSocket.pong(data)
}

/** Answers instead of a handshake; a face may say why in its own words. */
export function refuseUpgrade(
  socket: Duplex,
  status: number,
  phrase: string,
  { requestId = randomUUID(), json }: { readonly requestId?: string; readonly json?: unknown } = {},
): void {
  const body = json === undefined ? '' : JSON.stringify(json)
  const type = json === undefined ? [] : ['Content-Type: application/json; charset=utf-8']
  const head = [
    `HTTP/1.1 ${status} ${phrase}`,
    'Connection: close',
    ...type,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'X-Content-Type-Options: nosniff',
    `X-Request-Id: ${requestId}`,
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}

const pathOf = (url: string | undefined): string => (url ?? '/').split('?', 1)[0] ?? '/'

/** The query of an upgrade request. */
export const queryOf = (request: IncomingMessage): URLSearchParams =>
  new URLSearchParams((request.url ?? '').split('?').slice(1).join('?'))

async function closeSocket(webSocket: WebSocket): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(() => webSocket.terminate(), CLOSE_PATIENCE_MS)
  webSocket.once('close', () => {
    clearTimeout(timer)
    resolve()
  })
  webSocket.close(CLOSE_GOING_AWAY, 'server is going away')
  await promise
}
