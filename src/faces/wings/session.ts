import { AppError } from '../../core/errors.ts'
import type { OperationEvent } from '../../core/events.ts'
import { isFinal, type Operation } from '../../core/operation.ts'
import { NO_PROGRESS, type Progress } from '../../core/progress.ts'
import { endsOperation } from '../../live/hub.ts'
import type { Access } from './access.ts'
import { frameDetails, isLastFrame, OperationFrames, type ProgressFrame } from './frames.ts'
import { MessageLimits } from './message-limits.ts'
import {
  completionOf,
  type Message,
  parseMessage,
  type ServerWork,
  serverStatus,
  statusAfter,
} from './messages.ts'
import { type Moment, SignIn } from './sign-in.ts'
import { ToldEnds } from './told-ends.ts'

/** Where a session's frames go. `buffered` says how much of them still waits for the peer. */
export interface Wire {
  send(text: string): void
  readonly buffered: number
  close(code: number, reason: string): void
  /** Ends a peer that does not read. */
  cut(): void
}

export interface SessionOptions {
  readonly wire: Wire
  /** `?args=string`: the payload as the JSON string that a stock panel parses. */
  readonly argsAsText: boolean
  /** `?details=1`: the additive fields after the four of the seed. */
  readonly details: boolean
  /** Rejects with an error whose message may be shown. */
  readonly authenticate: (token: string) => Promise<Access>
  /** Whether one more may sign in on this server. Asked once, at the first sign-in. */
  readonly takeSeat: () => boolean
  /** What runs or stands on this server. */
  readonly replay: () => Promise<readonly Operation[]>
  /** What ended on it while nobody could hear it. Each is given once, to whoever will be told. */
  readonly takeUntold: () => readonly Operation[]
  readonly newId: () => string
  readonly nowMs: () => number
  readonly monotonicMs: () => number
  readonly log: { error(message: string, fields?: Readonly<Record<string, unknown>>): void }
}

type Payload = Readonly<Record<string, unknown>>

/** A peer that reads slower than this gets the newest progress later, and every end in any case. */
const BUFFERED_BYTES_MAX = 64 * 1024
/** Nobody who reads at all has so much waiting. */
const BUFFERED_SIGNED_IN_BYTES_MAX = 4 * 1024 * 1024
/** RFC 6455, section 7.4.1. */
const CLOSE_NORMAL = 1000
const CLOSE_UNAUTHENTICATED = 4401
const CLOSE_TOO_MANY = 4429
const BACKUP_READ = 'backup.read'
const SEE_ERRORS = 'admin.websocket.errors'
/** Sentences of the dialect (contract 000, A2 and A3). */
const TOO_MANY_SOCKETS = 'Too many open websocket connections.'
const UNEXPECTED = 'an unexpected error was encountered while handling this request'

/** One socket on one server: who it is, what it may hear, and what it was told. */
export class Session {
  readonly #options: SessionOptions
  readonly #limits = new MessageLimits()
  readonly #frames = new Map<string, OperationFrames>()
  readonly #ends = new ToldEnds()
  readonly #work = new Map<string, ServerWork>()
  readonly #signIn: SignIn
  #statusTold: string | null = null
  /** Messages are taken one after the other: what follows a sign-in waits for it. */
  #turn: Promise<void> = Promise.resolve()

  constructor(options: SessionOptions) {
    this.#options = options
    this.#signIn = new SignIn(options.monotonicMs())
  }

  get isAuthenticated(): boolean {
    return this.#signIn.isGood(this.#options.nowMs())
  }

  /** Whether somebody has signed in here: such a socket takes one of the places of its server. */
  get hasSeat(): boolean {
    return this.#signIn.wasGood
  }

  get mayReadBackups(): boolean {
    return this.#signIn.may(BACKUP_READ, this.#options.nowMs())
  }

  /** A frame of the peer. What is no message of this dialect is ignored in silence, as upstream does. */
  receive(text: string): Promise<void> {
    const message = parseMessage(text)
    if (message === null) return this.#turn
    const refusal = this.#limits.admit(message.event, this.#options.monotonicMs())
    if (refusal === null) return this.#queue(() => this.#take(message))
    if (refusal.tell) this.say('throttled', [refusal.scope])
    return this.#turn
  }

  authenticate(token: string): Promise<void> {
    return this.#queue(() => this.#authenticate(token))
  }

  /** Something happened to an operation of this server; the state is that after it, or a later one. */
  changed(operation: Operation, event: OperationEvent): void {
    if (this.#ends.has(operation.id)) return
    if (endsOperation({ topic: 'operation', type: event })) this.#end(operation)
    else this.#follow(operation, event)
  }

  #follow(operation: Operation, event: OperationEvent): void {
    const status = isFinal(operation.status) ? statusAfter(event) : operation.status
    if (status === null) return
    this.#work.set(operation.id, { kind: operation.kind, status })
    this.#tellStatus()
  }

  progressed(operation: Operation, progress: Progress): void {
    if (this.#ends.has(operation.id) || !this.mayReadBackups) return
    if (this.#options.wire.buffered > BUFFERED_BYTES_MAX) return
    const frames = this.#framesOf(operation).progress(progress, this.#options.monotonicMs())
    for (const frame of frames) this.#sayProgress(frame, operation, progress)
    if (frames.length > 0 && operation.kind === 'restore' && progress.currentItem !== null) {
      this.say('daemon message', [`(restoring): ${progress.currentItem}`])
    }
  }

  /** Called now and then: says once that the token is about to end and once that it has, and looks at it again. */
  watchToken(): void {
    const due = this.#signIn.due(this.#moment())
    if (due === 'expiring') this.say('token expiring')
    if (due === 'expired') this.say('token expired')
    if (due === 'look again') void this.#queue(() => this.#lookAgain())
    if (due === 'overstayed') this.#options.wire.close(CLOSE_UNAUTHENTICATED, 'not authenticated')
  }

  /** The token was put on the denylist. */
  deny(message: string): void {
    this.#signIn.deny(this.#moment())
    this.#sayError('jwt error', message)
  }

  /** The server is no more. */
  deleted(): void {
    if (this.isAuthenticated) this.say('deleted')
    this.left()
    this.#options.wire.close(CLOSE_NORMAL, 'server was deleted')
  }

  /** The peer has gone: nothing is told into the void that somebody else should hear. */
  left(): void {
    this.#signIn.deny(this.#moment())
  }

  isOf(match: (access: Access) => boolean): boolean {
    const { access } = this.#signIn
    return access !== null && match(access)
  }

  say(event: string, args?: readonly unknown[]): void {
    const { wire } = this.#options
    const bytesMax = this.isAuthenticated ? BUFFERED_SIGNED_IN_BYTES_MAX : BUFFERED_BYTES_MAX
    if (wire.buffered > bytesMax) wire.cut()
    else wire.send(JSON.stringify(args === undefined ? { event } : { event, args }))
  }

  #queue(work: () => Promise<void> | void): Promise<void> {
    this.#turn = this.#turn.then(work).catch((error: unknown) => {
      this.#options.log.error('wings socket failed', { error })
      this.#sayDaemonError(error instanceof Error ? error.message : UNEXPECTED)
    })
    return this.#turn
  }

  #take({ event, args }: Message): Promise<void> | void {
    if (event === 'auth') return this.#authenticate(args.join(''))
    if (!this.isAuthenticated) {
      if (this.#signIn.access === null) return this.say('jwt error', ['jwt: no jwt present'])
      return this.#sayError('jwt error', 'jwt: exp claim is invalid')
    }
    if (event === 'send stats') return this.#sayStats()
    if (event === 'set state' || event === 'send command') {
      this.#sayDaemonError('this daemon keeps backups of the server and does not run it')
    }
  }

  async #authenticate(token: string): Promise<void> {
    const access = await this.#identify(token)
    if (access === null) return
    if (!this.hasSeat && !this.#options.takeSeat()) {
      this.#sayError('jwt error', TOO_MANY_SOCKETS)
      return this.#options.wire.close(CLOSE_TOO_MANY, TOO_MANY_SOCKETS)
    }
    this.#signIn.accept(access, this.#moment())
    this.say('auth success')
    const operations = await this.#options.replay()
    // Time has passed: the token may have been denied, and what was live may have ended.
    if (!this.isAuthenticated) return
    this.#join(operations.filter(({ id }) => !this.#ends.has(id)))
  }

  async #identify(token: string): Promise<Access | null> {
    try {
      return await this.#options.authenticate(token)
    } catch (error) {
      const code = error instanceof AppError ? error.code : null
      if (code !== 'unauthenticated' && code !== 'rate_limited') throw error
      this.#sayError('jwt error', (error as AppError).message)
      if (code === 'rate_limited') this.#options.wire.close(CLOSE_TOO_MANY, 'too many wrong tokens')
      return null
    }
  }

  async #lookAgain(): Promise<void> {
    const { access } = this.#signIn
    if (access === null || !this.isAuthenticated) return
    try {
      const renewed = await access.again()
      if (this.#signIn.access === access) this.#signIn.renew(renewed)
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'unauthenticated') throw error
      if (this.#signIn.access !== access || !this.isAuthenticated) return
      this.#signIn.expire(this.#moment())
      this.say('token expired')
    }
  }

  /** What a socket that has just signed in is told: the state, ends that nobody heard, and what is under way. */
  #join(live: readonly Operation[]): void {
    for (const { id, kind, status } of live) {
      // What was told since is newer than what was read.
      if (!this.#work.has(id)) this.#work.set(id, { kind, status })
    }
    const isFirst = this.#statusTold === null
    this.#tellStatus()
    if (isFirst && this.#statusTold === 'offline') this.#sayStats()
    if (!this.mayReadBackups) return
    for (const operation of this.#options.takeUntold()) {
      this.#ends.add(operation.id)
      this.#ends.keep({ operation, frames: this.#framesOf(operation) })
    }
    for (const { operation, frames } of this.#ends.takeMissed()) this.#sayEnd(operation, frames)
    for (const operation of live) {
      const frames = this.#framesOf(operation)
      for (const frame of frames.join(operation.progress, this.#options.monotonicMs())) {
        this.#sayProgress(frame, operation, operation.progress)
      }
    }
  }

  #end(operation: Operation): void {
    const frames = this.#framesOf(operation)
    this.#ends.add(operation.id)
    this.#frames.delete(operation.id)
    this.#work.delete(operation.id)
    if (this.mayReadBackups) this.#sayEnd(operation, frames)
    else if (frames.hasBegun) this.#ends.keep({ operation, frames })
    this.#tellStatus()
  }

  #sayEnd(operation: Operation, frames: OperationFrames): void {
    this.#frames.delete(operation.id)
    const ended = frames.end(operation)
    if (ended.length === 0) return
    for (const frame of ended) {
      const progress = isLastFrame(frame) ? operation.progress : NO_PROGRESS
      this.#sayProgress(frame, operation, progress)
    }
    const { event, payload, daemonMessage } = completionOf(operation)
    this.say(event, [this.#payload(payload)])
    if (daemonMessage !== null) this.say('daemon message', [daemonMessage])
  }

  #framesOf(operation: Operation): OperationFrames {
    const known = this.#frames.get(operation.id)
    if (known !== undefined) return known
    const frames = new OperationFrames(operation)
    this.#frames.set(operation.id, frames)
    return frames
  }

  #sayProgress(frame: ProgressFrame, operation: Operation, progress: Progress): void {
    const details = this.#options.details ? frameDetails(frame, operation, progress) : {}
    this.say('backup progress', [this.#payload({ ...frame, ...details })])
  }

  #payload(payload: Payload): unknown {
    return this.#options.argsAsText ? JSON.stringify(payload) : payload
  }

  #tellStatus(): void {
    if (!this.isAuthenticated) return
    const status = serverStatus([...this.#work.values()])
    if (status === this.#statusTold) return
    this.#statusTold = status
    this.say('status', [status])
  }

  /** Backups are all this daemon knows of a server: it counts nothing of a running one. */
  #sayStats(): void {
    const stats = { memory_bytes: 0, cpu_absolute: 0, disk_bytes: 0, state: 'offline' }
    this.say('stats', [JSON.stringify(stats)])
  }

  /** contract 000, A3: "the true message if the token has `admin.websocket.errors`". */
  #sayDaemonError(message: string): void {
    const isForEyes = this.#signIn.may(SEE_ERRORS, this.#options.nowMs())
    this.#sayError('daemon error', isForEyes ? message : UNEXPECTED)
  }

  #sayError(event: 'jwt error' | 'daemon error', message: string): void {
    this.say(event, [`Error Event [${this.#options.newId()}]: ${message}`])
  }

  #moment(): Moment {
    return { nowMs: this.#options.nowMs(), monotonicMs: this.#options.monotonicMs() }
  }
}
