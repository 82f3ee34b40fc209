import type { IncomingMessage } from 'node:http'
import type { LiveMessage } from '@holdfast/sdk/wire/live'
import type { RawData, WebSocket } from 'ws'
import { assertMay } from '../../auth/permissions.ts'
import type { Caller } from '../../core/account.ts'
import { AppError, toFailure } from '../../core/errors.ts'
import { isAdmin } from '../../core/permissions.ts'
import { parseSubjects, Session, type Sink } from '../../live/session.ts'
import { headerToken, queryToken } from '../auth.ts'
import type { Services } from '../face.ts'
import { queryOf, refuseUpgrade } from '../upgrades.ts'
import type { ControlOptions } from './control-app.ts'
import { LiveEncoder, liveRequestSchema, toTextFrame } from './live-messages.ts'

const CLOSE_UNAUTHENTICATED = 4401
const CLOSE_BEHIND = 4408
/** RFC 6455, section 7.4.1: a condition that prevented the server from going on. */
const CLOSE_FAILED = 1011
const SIGN_IN_MS = 10_000
/** A token that expires or is revoked ends what it opened, this late at most. */
const LOOK_AGAIN_MS = 30_000

export interface LiveSocketOptions {
  readonly services: Services
  readonly encoder: LiveEncoder
  readonly signInMs: number
  readonly lookAgainMs: number
}

/** `/api/v1/live` as a WebSocket. */
export function registerLive({ services, upgrades, gate }: ControlOptions): void {
  const encoder = new LiveEncoder(toTextFrame)
  upgrades.add({
    path: /^\/api\/v1\/live\/?$/,
    handle(request, socket, head) {
      if (!gate.admits(addressOf(request))) return refuseUpgrade(socket, 429, 'Too Many Requests')
      upgrades.accept(request, socket, head, (webSocket) => {
        const times = { signInMs: SIGN_IN_MS, lookAgainMs: LOOK_AGAIN_MS }
        new LiveSocket(webSocket, { services, encoder, ...times }).start(
          headerToken(request.headers) ?? queryToken(queryOf(request)),
        )
      })
    },
  })
}

const addressOf = (request: IncomingMessage): string => request.socket.remoteAddress ?? 'unknown'

/**
 * One reader's socket:
 *
 *     opened ──token──> signed in ──subscribe──> told what happens
 *        └── 10 s without a token, or a wrong one ──> closed with 4401
 */
export class LiveSocket {
  readonly #socket: WebSocket
  readonly #options: LiveSocketOptions
  readonly #signInTimer: NodeJS.Timeout
  #session: Session<Buffer> | null = null
  #lookAgainTimer: NodeJS.Timeout | undefined
  /** Messages are taken one after the other: a subscription waits for the sign-in before it. */
  #turn: Promise<void> = Promise.resolve()

  constructor(socket: WebSocket, options: LiveSocketOptions) {
    this.#socket = socket
    this.#options = options
    this.#signInTimer = setTimeout(() => {
      this.#refuse('no token came in time')
    }, options.signInMs)
  }

  start(token: string | null): void {
    this.#socket.on('message', (data) => this.#queue(() => this.#take(data)))
    this.#socket.once('close', () => {
      clearTimeout(this.#signInTimer)
      clearInterval(this.#lookAgainTimer)
      this.#session?.close()
    })
    if (token !== null) this.#queue(() => this.#signIn(token))
  }

  #queue(work: () => Promise<void>): void {
    this.#turn = this.#turn.then(work).catch((error: unknown) => {
      this.#options.services.log.error('live socket failed', { error })
      this.#socket.close(CLOSE_FAILED, 'internal error')
    })
  }

  async #signIn(token: string): Promise<void> {
    if (this.#session !== null) return
    const caller = await this.#identify(token)
    if (caller !== null) this.#open(caller, token)
  }

  /** Whoever may not, or may no more, is told why and sent away. */
  async #identify(token: string): Promise<Caller | null> {
    try {
      const caller = await this.#options.services.auth.identify(token)
      assertMay(caller, 'operations.read')
      return caller
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      this.#refuse(error.message)
      return null
    }
  }

  #open(caller: Caller, token: string): void {
    clearTimeout(this.#signInTimer)
    if (this.#socket.readyState !== this.#socket.OPEN) return
    const { services, encoder, lookAgainMs } = this.#options
    this.#lookAgainTimer = setInterval(() => {
      this.#queue(async () => void (await this.#identify(token)))
    }, lookAgainMs)
    this.#session = new Session({
      hub: services.hub,
      accountId: isAdmin(caller) ? null : caller.accountId,
      sink: socketSink(this.#socket),
      encoder,
      log: services.log,
    })
  }

  async #take(data: RawData): Promise<void> {
    const request = parseRequest(data)
    if (request instanceof AppError) return this.#say(toError(request))
    if (request.type === 'ping') return this.#say({ type: 'pong' })
    if (request.type === 'auth') return await this.#signIn(request.token)
    if (this.#session === null) {
      const message = 'sign in first: send {"type":"auth","token":"..."}'
      return this.#say(toError(new AppError('unauthenticated', message)))
    }
    const parsed = parseSubjects(request.subscribe)
    if ('unknown' in parsed) return this.#say(toError(unknownSubject(parsed.unknown)))
    // Not awaited: catching up takes as long as the reader needs, and a newer subscription replaces it.
    this.#session.subscribe(parsed.subscription, request.since ?? null).catch((error: unknown) => {
      this.#options.services.log.error('live socket failed', { error })
    })
  }

  #say(message: LiveMessage): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return
    this.#socket.send(this.#options.encoder.message(message), { binary: false })
  }

  #refuse(why: string): void {
    clearTimeout(this.#signInTimer)
    clearInterval(this.#lookAgainTimer)
    this.#session?.close()
    this.#say(toError(new AppError('unauthenticated', why)))
    this.#socket.close(CLOSE_UNAUTHENTICATED, 'unauthenticated')
  }
}

const toError = (error: AppError): LiveMessage => {
  const { code, message } = toFailure(error)
  return { type: 'error', code, message }
}

export const unknownSubject = (word: string): AppError =>
  new AppError(
    'invalid',
    `no subject ${JSON.stringify(word.slice(0, 60))}: subscribe to operations, sources, snapshots, ` +
      'pools, devices, operation:<id> or source:<id>',
  )

function parseRequest(data: RawData) {
  const problem = (why: string) => new AppError('invalid', why)
  let value: unknown
  try {
    value = JSON.parse(String(data))
  } catch {
    return problem('message is no valid JSON')
  }
  const parsed = liveRequestSchema.safeParse(value)
  if (parsed.success) return parsed.data
  return problem(
    'message is not understood: send {"subscribe":["operations"],"since":0}, {"type":"auth","token":"..."} or {"type":"ping"}',
  )
}

const socketSink = (socket: WebSocket): Sink<Buffer> => ({
  send: (frame, left) => {
    if (socket.readyState !== socket.OPEN) return queueMicrotask(left)
    socket.send(frame, { binary: false }, left)
  },
  bufferedBytes: () => socket.bufferedAmount,
  end: (why) => {
    if (why === 'behind') {
      socket.close(CLOSE_BEHIND, 'too slow: come back with since, the last sequence you saw')
    } else {
      socket.close(CLOSE_FAILED, 'internal error: come back with since')
    }
  },
})
