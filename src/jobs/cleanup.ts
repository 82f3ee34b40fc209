import { isFinal } from '../core/operation.ts'
import { forgetDiscard, listDiscards } from '../store/holds.ts'
import { findOperation } from '../store/operations.ts'
import type { Room } from './room.ts'
import { engineFor, readTask } from './tasks.ts'

interface Failed {
  readonly count: number
  readonly nextAtMs: number
}

const BATCH = 50
const RETRY_FIRST_MS = 1_000
const RETRY_MAX_MS = 5 * 60 * 1000

/**
 * Removes what ended operations left half-made. What is left to remove is on
 * record from the commit that ends an operation until its engine has removed
 * it, so neither a crash nor a pool that is away for a day lets it be forgotten.
 */
export class Cleanup {
  readonly #room: Room
  readonly #failed = new Map<string, Failed>()
  #sweeping: Promise<void> | null = null
  #isWanted = false
  #isStopped = false

  constructor(room: Room) {
    this.#room = room
  }

  /** Sweeps once; whoever asks while it sweeps has it sweep once more. Never rejects. */
  sweep(): Promise<void> {
    this.#isWanted = true
    this.#sweeping ??= this.#sweepWhileWanted().finally(() => {
      this.#sweeping = null
    })
    return this.#sweeping
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#sweeping
  }

  async #sweepWhileWanted(): Promise<void> {
    while (this.#isWanted && !this.#isStopped) {
      this.#isWanted = false
      try {
        for (const id of await listDiscards(this.#room.database.sql, BATCH)) {
          if (this.#isStopped) return
          if (this.#isDue(id)) await this.#discard(id)
        }
      } catch (error) {
        this.#room.trouble.warn('could not look for what is left to remove', { error })
      }
    }
  }

  #isDue(operationId: string): boolean {
    if (this.#room.busy.has(operationId)) return false
    const failed = this.#failed.get(operationId)
    return failed === undefined || this.#room.clock.monotonicMs() >= failed.nextAtMs
  }

  async #discard(operationId: string): Promise<void> {
    const { database, engines, trouble } = this.#room
    try {
      const operation = await findOperation(database.sql, operationId)
      if (operation !== null && isFinal(operation.status)) {
        const task = await readTask(this.#room, operation)
        await engineFor(engines, task).discard(task, operation.checkpoint)
      }
      await database.write((tx) => forgetDiscard(tx, operationId))
      this.#failed.delete(operationId)
    } catch (error) {
      const count = (this.#failed.get(operationId)?.count ?? 0) + 1
      const waitMs = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** (count - 1))
      const nextAtMs = this.#room.clock.monotonicMs() + waitMs
      this.#failed.set(operationId, { count, nextAtMs })
      trouble.warn('could not remove what an operation left; it is tried again', {
        operationId,
        count,
        waitMs,
        error,
      })
    }
  }
}
