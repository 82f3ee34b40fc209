import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import type { FaceOptions, Services } from '../face.ts'
import { queryOf } from '../upgrades.ts'
import { identifySocket, serverExists, tokenOf } from './access.ts'
import type { WingsFeed } from './feed.ts'
import { Session } from './session.ts'

const PATH = /^\/api\/servers\/([^/]+)\/ws$/
/** contract 000, A2: ">= 30 sockets already open on that server". */
const SOCKETS_PER_SERVER_MAX = 30
/** contract 000, A2: "frame > 32768 bytes, binary, or invalid JSON: ignored silently". */
const FRAME_BYTES_MAX = 32_768
const SIGN_IN_WITHIN_MS = 10 * 60_000

export interface SocketOptions {
  readonly feed: WingsFeed
  /** Origins of panels that may connect; `*` allows all. */
  readonly allowedOrigins: readonly string[]
  readonly newId: () => string
}

/** `GET /api/servers/:server/ws`. */
export function socketRoute(
  { services, upgrades }: Pick<FaceOptions, 'services' | 'upgrades'>,
  options: SocketOptions,
): void {
  upgrades.add({
    path: PATH,
    handle: (request, socket, head, match) => {
      const serverId = decodeURIComponent(match[1] ?? '').toLowerCase()
      admit(services, options, request, serverId).then(
        (refusal) => {
          if (refusal !== null) return refuse(socket, refusal)
          upgrades.accept(request, socket, head, (webSocket) =>
            open(services, options, request, webSocket, serverId),
          )
        },
        (error: unknown) => {
          services.log.error('wings socket could not be opened', { error })
          refuse(socket, { status: 500, message: 'An unexpected error was encountered.' })
        },
      )
    },
  })
}

interface Refusal {
  readonly status: number
  readonly message: string
}

async function admit(
  services: Services,
  { feed, allowedOrigins }: SocketOptions,
  request: IncomingMessage,
  serverId: string,
): Promise<Refusal | null> {
  if (!mayConnectFrom(request, allowedOrigins)) {
    return { status: 403, message: 'This origin may not open a websocket here.' }
  }
  if (!(await serverExists(services, serverId))) {
    const message = 'The requested resource does not exist on this instance.'
    return { status: 404, message }
  }
  if (feed.countOn(serverId) >= SOCKETS_PER_SERVER_MAX) {
    return { status: 400, message: 'Too many open websocket connections.' }
  }
  return null
}

/** Programs send no origin; a page must be our own or one that is allowed. */
function mayConnectFrom(request: IncomingMessage, allowedOrigins: readonly string[]): boolean {
  const { origin, host } = request.headers
  if (origin === undefined || allowedOrigins.includes('*')) return true
  if (allowedOrigins.includes(origin)) return true
  return URL.canParse(origin) && new URL(origin).host === host
}

function open(
  services: Services,
  { feed, newId }: SocketOptions,
  request: IncomingMessage,
  webSocket: WebSocket,
  serverId: string,
): void {
  const query = queryOf(request)
  const session = new Session({
    wire: {
      send: (text) => webSocket.send(text),
      get buffered() {
        return webSocket.bufferedAmount
      },
    },
    serverId,
    argsAsText: query.get('args') === 'string',
    details: query.get('details') === '1',
    authenticate: (token) => identifySocket(services, token, serverId),
    replay: () => feed.replay(serverId),
    newId,
    nowMs: () => services.clock.nowMs(),
    monotonicMs: () => services.clock.monotonicMs(),
  })
  const remove = feed.add(serverId, session)
  const idle = setTimeout(() => {
    if (!session.isAuthenticated) webSocket.close(4401, 'not authenticated')
  }, SIGN_IN_WITHIN_MS)
  webSocket.once('close', () => {
    clearTimeout(idle)
    remove()
  })
  const fail = (error: unknown) => {
    services.log.error('wings socket failed', { error })
    webSocket.terminate()
  }
  webSocket.on('message', (data: Buffer, isBinary) => {
    if (isBinary || data.length > FRAME_BYTES_MAX) return
    session.receive(data.toString()).catch(fail)
  })
  const token = tokenOf(request)
  if (token !== null) session.authenticate(token).catch(fail)
}

function refuse(socket: Duplex, { status, message }: Refusal): void {
  const body = JSON.stringify({ error: message })
  socket.end(
    `HTTP/1.1 ${status} ${PHRASES[status] ?? 'Error'}\r\nConnection: close\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}

const PHRASES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  403: 'Forbidden',
  404: 'Not Found',
  500: 'Internal Server Error',
}
