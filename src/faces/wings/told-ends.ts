import type { Operation } from '../../core/operation.ts'
import type { OperationFrames } from './frames.ts'

/** An end that a socket could not be told when it came. */
export interface MissedEnd {
  readonly operation: Operation
  readonly frames: OperationFrames
}

/** One server has few live operations: an end that is told again comes soon or never. */
const ENDED_MAX = 200
const MISSED_MAX = 20

/** Which operations have ended for one socket: each ends once, and nothing of it comes after. */
export class ToldEnds {
  readonly #ended = new Set<string>()
  #missed: MissedEnd[] = []

  has(operationId: string): boolean {
    return this.#ended.has(operationId)
  }

  add(operationId: string): void {
    this.#ended.add(operationId)
    if (this.#ended.size <= ENDED_MAX) return
    const [oldest] = this.#ended
    if (oldest !== undefined) this.#ended.delete(oldest)
  }

  /** Its beginning was told, and its end was not: kept for a new token. */
  keep(missed: MissedEnd): void {
    if (this.#missed.some(({ operation }) => operation.id === missed.operation.id)) return
    this.#missed = [...this.#missed, missed].slice(-MISSED_MAX)
  }

  takeMissed(): readonly MissedEnd[] {
    const missed = this.#missed
    this.#missed = []
    return missed
  }
}
