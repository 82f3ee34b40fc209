import type { Operation } from '../../core/operation.ts'
import type { Progress } from '../../core/progress.ts'
import type { Access } from './access.ts'
import { frameDetails, isFramed, OperationFrames, type ProgressFrame } from './frames.ts'
import { MessageLimits } from './message-limits.ts'
import { completionOf, serverStatus } from './messages.ts'

/** Where a session's frames go. `buffered` says how much of them still waits for the peer. */
export interface Wire {
  send(text: string): void
  readonly buffered: number
}

export interface SessionOptions {
  readonly wire: Wire
  readonly serverId: string
  /** `?args=string`: the payload as the JSON string that a stock panel parses. */
  readonly argsAsText: boolean
  /** `?details=1`: the additive fields after the four of the seed. */
  readonly details: boolean
  /** Rejects with an error whose message may be shown. */
  readonly authenticate: (token: string) => Promise<Access>
  /** What runs or stands on this server, and what ended while nobody could hear it. */
  readonly replay: () => Promise<readonly Operation[]>
  readonly newId: () => string
  readonly nowMs: () => number
  readonly monotonicMs: () => number
}

type Payload = Readonly<Record<string, unknown>>

/** A peer that reads slower than this gets the newest progress later, and every end in any case. */
const BUFFERED_BYTES_MAX = 64 * 1024
/** seed 000 upstream: `token expiring` when a minute is left. */
const EXPIRING_BEFORE_MS = 60_000
const BACKUP_READ = 'backup.read'

/** One socket on one server: who it is, what it may hear, and what it was told. */
export class Session {
  readonly #options: SessionOptions
  readonly #limits = new MessageLimits()
  readonly #frames = new Map<string, OperationFrames>()
  #access: Access | null = null
  #expiryTold: 'no' | 'expiring' | 'expired' = 'no'
  #statusTold = false

  constructor(options: SessionOptions) {
    this.#options = options
  }

  get isAuthenticated(): boolean {
    return this.#access !== null && !this.#isExpired()
  }

  get mayReadBackups(): boolean {
    return this.isAuthenticated && this.#access?.may(BACKUP_READ) === true
  }

  /** A frame of the peer. What is no message of this dialect is ignored in silence, as upstream does. */
  async receive(text: string): Promise<void> {
    const message = parseMessage(text)
    if (message === null) return
    const refusal = this.#limits.admit(message.event, this.#options.monotonicMs())
    if (refusal !== null) {
      if (refusal.tell) this.say('throttled', [refusal.scope])
      return
    }
    if (message.event === 'auth') return await this.authenticate(message.args.join(''))
    if (!this.isAuthenticated) return this.say('jwt error', ['jwt: no jwt present'])
    if (message.event === 'send stats') return this.#sayStats()
    if (message.event === 'set state' || message.event === 'send command') {
      this.#sayError('daemon error', 'this daemon keeps backups of the server and does not run it')
    }
  }

  async authenticate(token: string): Promise<void> {
    let access: Access
    try {
      access = await this.#options.authenticate(token)
    } catch (error) {
      return this.#sayError('jwt error', error instanceof Error ? error.message : 'jwt: invalid')
    }
    this.#access = access
    this.#expiryTold = 'no'
    this.say('auth success')
    const operations = await this.#options.replay()
    if (!this.#statusTold) {
      this.#statusTold = true
      this.say('status', [serverStatus(operations)])
      this.#sayStats()
    }
    for (const operation of operations) this.#join(operation)
  }

  /** Something happened to an operation of this server. */
  changed(operation: Operation, event: string): void {
    if (!this.isAuthenticated) return
    if (event === 'started') this.say('status', [serverStatus([operation])])
    const ended = this.#framesOf(operation).end(operation)
    if (ended.length === 0) return
    if (this.mayReadBackups) {
      for (const frame of ended) this.#sayProgress(frame, operation, operation.progress)
      const completion = completionOf(operation)
      this.say(completion.event, [this.#payload(completion.payload)])
      if (completion.daemonMessage !== null) this.say('daemon message', [completion.daemonMessage])
    }
    this.#frames.delete(operation.id)
    this.say('status', ['offline'])
  }

  progressed(operation: Operation, progress: Progress): void {
    if (!this.mayReadBackups || this.#options.wire.buffered > BUFFERED_BYTES_MAX) return
    const frames = this.#framesOf(operation).progress(progress, this.#options.monotonicMs())
    for (const frame of frames) this.#sayProgress(frame, operation, progress)
    if (frames.length > 0 && operation.kind === 'restore' && progress.currentItem !== null) {
      this.say('daemon message', [`(restoring): ${progress.currentItem}`])
    }
  }

  /** Called now and then: says once that the token is about to end, and once that it has. */
  watchToken(): void {
    const left = this.#millisecondsLeft()
    if (left === null || this.#expiryTold === 'expired') return
    if (left <= 0) {
      this.#expiryTold = 'expired'
      this.say('token expired')
    } else if (left <= EXPIRING_BEFORE_MS && this.#expiryTold === 'no') {
      this.#expiryTold = 'expiring'
      this.say('token expiring')
    }
  }

  /** The token was put on the denylist. */
  deny(message: string): void {
    this.#access = null
    this.#sayError('jwt error', message)
  }

  isOf(match: (access: Access) => boolean): boolean {
    return this.#access !== null && match(this.#access)
  }

  say(event: string, args?: readonly unknown[]): void {
    this.#options.wire.send(JSON.stringify(args === undefined ? { event } : { event, args }))
  }

  #join(operation: Operation): void {
    if (!this.mayReadBackups || !isFramed(operation)) return
    const frames = this.#framesOf(operation)
    const said =
      operation.finishedAtMs === null
        ? frames.join(operation.progress, this.#options.monotonicMs())
        : frames.end(operation)
    for (const frame of said) this.#sayProgress(frame, operation, operation.progress)
    if (operation.finishedAtMs !== null) this.#frames.delete(operation.id)
  }

  #framesOf(operation: Operation): OperationFrames {
    const known = this.#frames.get(operation.id)
    if (known !== undefined) return known
    const frames = new OperationFrames(operation)
    this.#frames.set(operation.id, frames)
    return frames
  }

  #sayProgress(frame: ProgressFrame, operation: Operation, progress: Progress): void {
    const details = this.#options.details ? frameDetails(operation, progress) : {}
    this.say('backup progress', [this.#payload({ ...frame, ...details })])
  }

  #payload(payload: Payload): unknown {
    return this.#options.argsAsText ? JSON.stringify(payload) : payload
  }

  /** Backups are all this daemon knows of a server: it counts nothing of a running one. */
  #sayStats(): void {
    const stats = { memory_bytes: 0, cpu_absolute: 0, disk_bytes: 0, state: 'offline' }
    this.say('stats', [JSON.stringify(stats)])
  }

  #sayError(event: 'jwt error' | 'daemon error', message: string): void {
    this.say(event, [`Error Event [${this.#options.newId()}]: ${message}`])
  }

  #isExpired(): boolean {
    const left = this.#millisecondsLeft()
    return left !== null && left <= 0
  }

  #millisecondsLeft(): number | null {
    const expiresAtMs = this.#access?.expiresAtMs ?? null
    return expiresAtMs === null ? null : expiresAtMs - this.#options.nowMs()
  }
}

interface Message {
  readonly event: string
  readonly args: readonly string[]
}

function parseMessage(text: string): Message | null {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return null
  }
  if (typeof parsed !== 'object' || parsed === null || !('event' in parsed)) return null
  if (typeof parsed.event !== 'string') return null
  const args = 'args' in parsed && Array.isArray(parsed.args) ? parsed.args : []
  return { event: parsed.event, args: args.filter((arg) => typeof arg === 'string') }
}
