import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'

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
      if (this.#closing) return refuseUpgrade(socket, 503, 'Service Unavailable')
      const path = pathOf(request.url)
      for (const route of this.#routes) {
        const match = path.match(route.path)
        if (match !== null) return open(route, request, socket, head, match)
      }
      refuseUpgrade(socket, 404, 'Not Found')
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
    refuseUpgrade(socket, 400, 'Bad Request')
  }
}

export function refuseUpgrade(socket: Duplex, status: number, phrase: string): void {
  socket.end(
    `HTTP/1.1 ${status} ${phrase}\r\nConnection: close\r\nContent-Length: 0\r\nX-Content-Type-Options: nosniff\r\n\r\n`,
  )
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
