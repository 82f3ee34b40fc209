import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import { addressKey, addressOf } from '../addresses.ts'
import type { FaceOptions } from '../face.ts'
import { requestIdOf } from '../request-id.ts'
import { queryOf, refuseUpgrade } from '../upgrades.ts'
import { identifySocket, serverExists, tokenOf } from './access.ts'
import type { WingsFeed } from './feed.ts'
import { Lobby } from './lobby.ts'
import { Session } from './session.ts'

const PATH = /^\/api\/servers\/([^/]+)\/ws$/
/** contract 000, A2: ">= 30 sockets already open on that server"; those that somebody has signed in on. */
const SOCKETS_PER_SERVER_MAX = 30
/** contract 000, A2: "frame > 32768 bytes, binary, or invalid JSON: ignored silently". */
const FRAME_BYTES_MAX = 32_768

export interface SocketOptions extends Pick<FaceOptions, 'services' | 'gate' | 'behindProxy'> {
  readonly feed: WingsFeed
  /** Origins of panels that may connect; `*` allows all. */
  readonly allowedOrigins: readonly string[]
  readonly newId: () => string
}

/** Who is at the door, of which server. */
interface Visitor {
  readonly request: IncomingMessage
  readonly serverId: string
  readonly address: string
  /** Somebody has signed in, or the socket is no more. */
  readonly leaveLobby: () => void
}

/** `GET /api/servers/:server/ws`. */
export function socketRoute(
  { upgrades }: Pick<FaceOptions, 'upgrades'>,
  options: SocketOptions,
): void {
  const lobby = new Lobby()
  upgrades.add({
    path: PATH,
    handle: (request, socket, head, match) => {
      const serverId = decodeURIComponent(match[1] ?? '').toLowerCase()
      const address = addressOf(request, options.behindProxy)
      if (!options.gate.admits(address)) return refuse(request, socket, TOO_OFTEN)
      const leaveLobby = lobby.enter(addressKey(address))
      if (leaveLobby === null) return refuse(request, socket, TOO_MANY)
      // Also where the handshake fails, and no WebSocket comes of it.
      socket.once('close', leaveLobby)
      const visitor = { request, serverId, address, leaveLobby }
      admit(options, visitor).then(
        (refusal) => {
          if (refusal !== null) return refuse(request, socket, refusal)
          upgrades.accept(request, socket, head, (webSocket) => open(options, visitor, webSocket))
        },
        (error: unknown) => {
          options.services.log.error('wings socket could not be opened', { error })
          refuse(request, socket, { status: 500, message: 'An unexpected error was encountered.' })
        },
      )
    },
  })
}

interface Refusal {
  readonly status: number
  readonly message: string
}

const TOO_MANY: Refusal = { status: 400, message: 'Too many open websocket connections.' }
const TOO_OFTEN: Refusal = { status: 429, message: 'too many requests; try again in 1 s' }

async function admit(
  { services, feed, allowedOrigins }: SocketOptions,
  { request, serverId }: Visitor,
): Promise<Refusal | null> {
  if (!mayConnectFrom(request, allowedOrigins)) {
    return { status: 403, message: 'This origin may not open a websocket here.' }
  }
  if (!(await serverExists(services, serverId))) {
    const message = 'The requested resource does not exist on this instance.'
    return { status: 404, message }
  }
  return feed.countOn(serverId) >= SOCKETS_PER_SERVER_MAX ? TOO_MANY : null
}

/** Programs send no origin; a page must be our own or one that is allowed. */
function mayConnectFrom(request: IncomingMessage, allowedOrigins: readonly string[]): boolean {
  const { origin, host } = request.headers
  if (origin === undefined || allowedOrigins.includes('*')) return true
  if (allowedOrigins.includes(origin)) return true
  return URL.canParse(origin) && new URL(origin).host === host
}

function open(options: SocketOptions, visitor: Visitor, webSocket: WebSocket): void {
  const { feed } = options
  const { request, serverId } = visitor
  const session = createSession(options, visitor, webSocket)
  const remove = feed.add(serverId, session)
  webSocket.once('close', remove)
  webSocket.on('message', (data: Buffer, isBinary) => {
    if (isBinary || data.length > FRAME_BYTES_MAX) return
    void session.receive(data.toString())
  })
  const token = tokenOf(request)
  if (token !== null) void session.authenticate(token)
}

function createSession(options: SocketOptions, visitor: Visitor, webSocket: WebSocket): Session {
  const { services, gate, feed, newId } = options
  const { request, serverId, address, leaveLobby } = visitor
  const query = queryOf(request)
  return new Session({
    wire: {
      send: (text) => webSocket.send(text),
      get buffered() {
        return webSocket.bufferedAmount
      },
      close: (code, reason) => webSocket.close(code, reason),
      cut: () => webSocket.terminate(),
    },
    argsAsText: query.get('args') === 'string',
    details: query.get('details') === '1',
    authenticate: (token) =>
      gate.guard(token || null, address, () => identifySocket(services, token, serverId)),
    takeSeat: () => {
      if (feed.countOn(serverId) >= SOCKETS_PER_SERVER_MAX) return false
      leaveLobby()
      return true
    },
    replay: () => feed.replay(serverId),
    takeUntold: () => feed.takeUntold(serverId),
    newId,
    nowMs: () => services.clock.nowMs(),
    monotonicMs: () => services.clock.monotonicMs(),
    log: services.log,
  })
}

function refuse(request: IncomingMessage, socket: Duplex, { status, message }: Refusal): void {
  refuseUpgrade(socket, status, PHRASES[status] ?? 'Error', {
    requestId: requestIdOf(request),
    json: { error: message },
  })
}

const PHRASES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  403: 'Forbidden',
  404: 'Not Found',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
}
