import type { LiveMessage } from '@holdfast/sdk/wire/live'
import type { RawData, WebSocket } from 'ws'
import type { Caller } from '../../core/account.ts'
import { AppError, toFailure } from '../../core/errors.ts'
import { isAdmin } from '../../core/permissions.ts'
import { parseSubjects, Session, type Sink } from '../../live/session.ts'
import { addressKey, addressOf } from '../addresses.ts'
import { type Gate, headerToken, queryToken } from '../auth.ts'
import type { Services } from '../face.ts'
import { queryOf, refuseUpgrade } from '../upgrades.ts'
import type { ControlOptions } from './control-app.ts'
import { LiveIntake } from './live-intake.ts'
import { LiveEncoder, liveRequestSchema, toTextFrame } from './live-messages.ts'
import { LivePlaces, tooManyFeeds, UNKNOWN_PER_ADDRESS_MAX } from './live-places.ts'
import {
  assertMayHear,
  identifyReader,
  LOOK_AGAIN_MS,
  readableTopics,
  watchCaller,
} from './live-watch.ts'

const CLOSE_UNAUTHENTICATED = 4401
const CLOSE_BEHIND = 4408
const CLOSE_TOO_MANY = 4429
/** RFC 6455, section 7.4.1: a condition that prevented the server from going on. */
const CLOSE_FAILED = 1011
const SIGN_IN_MS = 10_000

export interface LiveSocketOptions {
  readonly services: Services
  readonly gate: Gate
  readonly encoder: LiveEncoder
  /** Feeds of each account; those of the event stream count, too. */
  readonly feeds: LivePlaces
  readonly signInMs: number
  readonly lookAgainMs: number
}

/** Who opened a socket, and how to say that it is not unknown any more. */
export interface Visitor {
  readonly address: string
  readonly leaveDoor: () => void
}

/** `/api/v1/live` as a WebSocket. */
export function registerLive(
  { services, upgrades, gate, behindProxy }: ControlOptions,
  feeds: LivePlaces,
): void {
  const encoder = new LiveEncoder(toTextFrame)
  const door = new LivePlaces(UNKNOWN_PER_ADDRESS_MAX)
  const options = { services, gate, encoder, feeds }
  const times = { signInMs: SIGN_IN_MS, lookAgainMs: LOOK_AGAIN_MS }
  upgrades.add({
    path: /^\/api\/v1\/live\/?$/,
    handle(request, socket, head) {
      const address = addressOf(request, behindProxy)
      const leaveDoor = gate.admits(address) ? door.take(addressKey(address)) : null
      if (leaveDoor === null) return refuseUpgrade(socket, 429, 'Too Many Requests')
      // Also where the handshake fails, and no WebSocket comes of it.
      socket.once('close', leaveDoor)
      upgrades.accept(request, socket, head, (webSocket) => {
        new LiveSocket(webSocket, { ...options, ...times }, { address, leaveDoor }).start(
          headerToken(request.headers) ?? queryToken(queryOf(request)),
        )
      })
    },
  })
}

/**
 * One reader's socket:
 *
 *     opened ──token──> signed in ──subscribe──> told what happens
 *        └── 10 s or a few messages without a token, or a wrong one ──> closed with 4401
 */
export class LiveSocket {
  readonly #socket: WebSocket
  readonly #options: LiveSocketOptions
  readonly #visitor: Visitor
  readonly #signInTimer: NodeJS.Timeout
  readonly #intake: LiveIntake
  #reader: { readonly caller: Caller; readonly session: Session<Buffer> } | null = null
  #onClose: (() => void)[] = []

  constructor(socket: WebSocket, options: LiveSocketOptions, visitor: Visitor) {
    this.#socket = socket
    this.#options = options
    this.#visitor = visitor
    this.#signInTimer = setTimeout(() => {
      this.#refuse(new AppError('unauthenticated', 'no token came in time'))
    }, options.signInMs)
    this.#intake = new LiveIntake({
      socket,
      take: (data) => this.#take(data),
      failed: (error) => this.#fail(error),
      isKnown: () => this.#reader !== null,
      tooMany: () => this.#refuseMany(),
      monotonicMs: () => options.services.clock.monotonicMs(),
    })
  }

  start(token: string | null): void {
    this.#socket.once('close', () => this.#leave())
    if (token !== null) this.#intake.add(() => this.#signIn(token))
  }

  #fail(error: unknown): void {
    this.#options.services.log.error('live socket failed', { error })
    this.#socket.close(CLOSE_FAILED, 'internal error')
  }

  #leave(): void {
    clearTimeout(this.#signInTimer)
    this.#visitor.leaveDoor()
    this.#reader?.session.close()
    for (const done of this.#onClose.splice(0)) done()
  }

  async #signIn(token: string): Promise<void> {
    if (this.#reader !== null) return
    const { gate } = this.#options
    const identify = () => identifyReader(gate, token, this.#visitor.address)
    try {
      this.#open(await identify(), identify)
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      this.#refuse(error)
    }
  }

  #open(caller: Caller, identify: () => Promise<Caller>): void {
    clearTimeout(this.#signInTimer)
    if (this.#socket.readyState !== this.#socket.OPEN) return
    const { services, encoder, feeds, lookAgainMs } = this.#options
    const leaveFeed = feeds.take(caller.accountId)
    if (leaveFeed === null) throw tooManyFeeds()
    this.#visitor.leaveDoor()
    const ended = (why: unknown) => (why instanceof AppError ? this.#refuse(why) : this.#fail(why))
    const { clock } = services
    this.#onClose.push(leaveFeed, watchCaller({ caller, identify, clock, lookAgainMs, ended }))
    const session = new Session({
      hub: services.hub,
      accountId: isAdmin(caller) ? null : caller.accountId,
      topics: readableTopics(caller),
      sink: socketSink(this.#socket),
      encoder,
      log: services.log,
    })
    this.#reader = { caller, session }
  }

  async #take(data: RawData): Promise<void> {
    const request = parseRequest(data)
    if (request instanceof AppError) return this.#say(toError(request))
    if (request.type === 'ping') return this.#say({ type: 'pong' })
    if (request.type === 'auth') return await this.#signIn(request.token)
    try {
      this.#subscribe(request.subscribe, request.since ?? null)
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      this.#say(toError(error))
    }
  }

  #subscribe(words: readonly string[], since: number | null): void {
    if (this.#reader === null) {
      const message = 'sign in first: send {"type":"auth","token":"..."}'
      throw new AppError('unauthenticated', message)
    }
    const { caller, session } = this.#reader
    const parsed = parseSubjects(words)
    if ('unknown' in parsed) throw unknownSubject(parsed.unknown)
    assertMayHear(caller, parsed.subscription)
    // Not awaited: catching up takes as long as the reader needs, and a newer subscription replaces it.
    session.subscribe(parsed.subscription, since).catch((error: unknown) => {
      this.#options.services.log.error('live socket failed', { error })
    })
  }

  #say(message: LiveMessage): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return
    this.#socket.send(this.#options.encoder.message(message), { binary: false })
  }

  /** Whoever may not, or may no more, is told why and sent away. */
  #refuse(error: AppError): void {
    this.#say(toError(asRefusal(error)))
    this.#intake.end()
    this.#leave()
    if (error.code === 'rate_limited') this.#socket.close(CLOSE_TOO_MANY, 'too many')
    else this.#socket.close(CLOSE_UNAUTHENTICATED, 'unauthenticated')
  }

  #refuseMany(): void {
    const isKnown = this.#reader !== null
    this.#refuse(
      isKnown
        ? new AppError('rate_limited', 'too many messages at once')
        : new AppError('unauthenticated', 'too many messages before a token'),
    )
  }
}

/** Also a token that lacks the permission opens nothing here. */
const asRefusal = (error: AppError): AppError =>
  error.code === 'rate_limited' ? error : new AppError('unauthenticated', error.message)

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
