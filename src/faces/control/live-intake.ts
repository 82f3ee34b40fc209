import { setTimeout as sleep } from 'node:timers/promises'
import type { RawData, WebSocket } from 'ws'
import { RateLimit } from '../../auth/rate-limit.ts'

export interface IntakeOptions {
  readonly socket: WebSocket
  /** Takes one message; the next waits until it settles. */
  readonly take: (data: RawData) => Promise<void>
  readonly failed: (error: unknown) => void
  /** Whether the reader has said who he is. */
  readonly isKnown: () => boolean
  /** More came than anybody who means well sends. */
  readonly tooMany: () => void
  readonly monotonicMs: () => number
}

/** A sign-in and what is asked for in the same breath. */
const MESSAGES_BEFORE_SIGN_IN_MAX = 8
/** A page that opens subscribes once for each of its parts. */
const PACE = { burst: 300, perSecond: 50 }
/** What came with one read of a socket that stands still since. */
const WAITING_MAX = 1_000
/** Whoever does not read what he is told is not listened to. */
const UNREAD_BYTES_MAX = 64 * 1024
const LOOK_AGAIN_MS = 50
/** Told to go, and still talking: the reason has this long to reach him. */
const GONE_WITHIN_MS = 1_000

/**
 * What one reader says: one message after the other, no faster than they are
 * taken, and as many as a pace allows. While something waits the socket is not
 * read, so that the rest waits at the reader's own side.
 */
export class LiveIntake {
  readonly #options: IntakeOptions
  readonly #pace = new RateLimit({ ...PACE, keysMax: 1 })
  readonly #waiting: (() => Promise<void>)[] = []
  #isBusy = false
  #isOver = false
  #isCutOff = false
  #early = 0
  #late = 0

  constructor(options: IntakeOptions) {
    this.#options = options
    const { socket } = options
    socket.on('message', (data) => this.#hear(data))
    socket.once('close', () => this.#clear())
  }

  /** Work of our own, in turn with the messages. */
  add(work: () => Promise<void>): void {
    if (this.#isOver) return
    this.#waiting.push(work)
    void this.#run()
  }

  /** Hears nothing more: the socket is being closed. */
  end(): void {
    this.#clear()
  }

  #hear(data: RawData): void {
    if (this.#isOver) this.#hearLate()
    else if (this.#waiting.length >= WAITING_MAX) this.#refuseMore()
    else this.add(() => this.#takeOne(data))
  }

  async #takeOne(data: RawData): Promise<void> {
    await this.#untilPaced()
    if (this.#isOver) return
    if (!this.#options.isKnown()) this.#early += 1
    if (this.#early > MESSAGES_BEFORE_SIGN_IN_MAX) this.#refuseMore()
    else await this.#options.take(data)
  }

  #refuseMore(): void {
    this.#options.tooMany()
    this.#clear()
    this.#cutOff()
  }

  /** The answer to a close comes among the messages: only whoever goes on talking is cut off. */
  #hearLate(): void {
    this.#late += 1
    if (this.#late === MESSAGES_BEFORE_SIGN_IN_MAX) this.#cutOff()
  }

  #cutOff(): void {
    const { socket } = this.#options
    this.#isCutOff = true
    socket.pause()
    setTimeout(() => socket.terminate(), GONE_WITHIN_MS).unref()
  }

  async #run(): Promise<void> {
    if (this.#isBusy) return
    this.#isBusy = true
    const { socket, failed } = this.#options
    socket.pause()
    try {
      for (let work = this.#waiting.shift(); work !== undefined; work = this.#waiting.shift()) {
        await work()
      }
    } catch (error) {
      this.#clear()
      failed(error)
    } finally {
      this.#isBusy = false
      // Also when it is over: the answer to a close is still to come.
      if (!this.#isCutOff) socket.resume()
    }
  }

  async #untilPaced(): Promise<void> {
    const { socket, monotonicMs } = this.#options
    const waitMs = this.#pace.take('', monotonicMs())
    if (waitMs !== null) {
      await sleep(waitMs, undefined, { ref: false })
      this.#pace.take('', monotonicMs())
    }
    while (!this.#isOver && socket.bufferedAmount > UNREAD_BYTES_MAX) {
      await sleep(LOOK_AGAIN_MS, undefined, { ref: false })
    }
  }

  #clear(): void {
    this.#isOver = true
    this.#waiting.length = 0
  }
}
