import { AppError } from '../core/errors.ts'
import type { OperationEvent } from '../core/events.ts'
import { isFinal, type Operation, type Status, transition } from '../core/operation.ts'
import { reasons } from './reasons.ts'

/** What an ask makes of an operation. `null` where it is so already. */
export interface Answer {
  readonly operation: Operation
  readonly event: OperationEvent
}

export type Ask = 'pause' | 'resume' | 'cancel'

/**
 * What follows from asking. What does not run changes at once; what runs keeps
 * the intent on record until its worker, or whoever recovers it, has honoured
 * it. Throws `conflict` where the ask makes no sense.
 */
export function answer(operation: Operation, ask: Ask, by: string, nowMs: number): Answer | null {
  if (ask === 'resume') return resume(operation, by, nowMs)
  if (operation.status === 'running') return intend(operation, ask, by, nowMs)
  if (isFinal(operation.status) || (ask === 'pause' && operation.status === 'paused')) {
    throw refused(operation, ask)
  }
  const status = ask === 'pause' ? 'paused' : 'cancelled'
  return { operation: standStill(operation, status, reasons[status](by), nowMs), event: status }
}

/** A change of what does not run. A worker that may still be at it is not forgotten over it. */
const standStill = (
  operation: Operation,
  to: Status,
  reason: string,
  nowMs: number,
): Operation => ({
  ...transition(operation, to, reason, nowMs),
  workerId: operation.workerId,
})

function resume(operation: Operation, by: string, nowMs: number): Answer {
  if (operation.status !== 'paused') throw refused(operation, 'resume')
  const reason = reasons.unpaused(by, operation)
  return { operation: standStill(operation, 'pending', reason, nowMs), event: 'resumed' }
}

function intend(
  operation: Operation,
  ask: 'pause' | 'cancel',
  by: string,
  nowMs: number,
): Answer | null {
  if (operation.intent === ask) return null
  // A cancel outdoes a pause; a pause of what is being cancelled comes too late.
  if (operation.intent === 'cancel') throw refused(operation, ask)
  const statusReason = ask === 'pause' ? reasons.pausing(by) : reasons.cancelling(by)
  return {
    operation: { ...operation, intent: ask, statusReason, updatedAtMs: nowMs },
    event: 'intent',
  }
}

const refused = (operation: Operation, ask: Ask): AppError => {
  const status =
    operation.intent === 'cancel'
      ? 'running operation that is being cancelled'
      : `${operation.status} operation`
  return new AppError('conflict', `a ${status} cannot be asked to ${ask}`, {
    operationId: operation.id,
    status: operation.status,
  })
}
