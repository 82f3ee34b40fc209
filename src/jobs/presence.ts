import { readProcessIdentity } from '../platform/process-identity.ts'
import { beatWorker, endWorker, insertWorker } from '../store/workers.ts'
import type { Room } from './room.ts'

/** A worker that could not give a sign of life for this long stops its runs: others are about to take them. */
export const LEASE_LOST_AFTER_MS = 5_000

/**
 * The record of this process among the workers. While it beats, what the worker
 * claimed is its own.
 */
export class Presence {
  readonly #room: Room
  #workerId: string
  /** When the last beat that was recorded had been sent off. */
  #beatSentAtMs = Number.POSITIVE_INFINITY
  #beating: Promise<void> | null = null

  constructor(room: Room) {
    this.#room = room
    this.#workerId = room.ids.newId()
  }

  get workerId(): string {
    return this.#workerId
  }

  async enter(): Promise<void> {
    const { host, pid, bootId } = readProcessIdentity()
    const { clock, database } = this.#room
    const sentAtMs = clock.monotonicMs()
    const worker = {
      id: this.#workerId,
      host,
      pid,
      bootId,
      beat: 0,
      startedAtMs: clock.nowMs(),
    }
    await database.write((tx) => insertWorker(tx, worker))
    this.#beatSentAtMs = sentAtMs
  }

  /**
   * Gives a sign of life, one at a time. Where others took this worker for dead
   * it enters anew under another name; `onLost` then stops what it had claimed.
   */
  beat(onLost: () => void): Promise<void> {
    this.#beating ??= this.#beat(onLost).finally(() => {
      this.#beating = null
    })
    return this.#beating
  }

  async #beat(onLost: () => void): Promise<void> {
    const sentAtMs = this.#room.clock.monotonicMs()
    const workerId = this.#workerId
    const isKnown = await this.#room.database.write((tx) => beatWorker(tx, workerId), {
      durable: false,
    })
    if (isKnown) {
      this.#beatSentAtMs = sentAtMs
      return
    }
    onLost()
    this.#workerId = this.#room.ids.newId()
    await this.enter()
  }

  /** Whether others may take this worker for dead by now. */
  isOverdue(): boolean {
    return this.#room.clock.monotonicMs() - this.#beatSentAtMs > LEASE_LOST_AFTER_MS
  }

  async leave(): Promise<void> {
    await this.#beating?.catch(() => {
      // It was logged by whoever asked for the beat.
    })
    await this.#room.database.write((tx) => endWorker(tx, this.#workerId))
  }
}
