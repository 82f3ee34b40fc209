import type { JsonObject } from './json.ts'
import type { Progress } from './progress.ts'

/** What the event log tells about. */
export const TOPICS = ['operation', 'source', 'snapshot', 'pool', 'device'] as const

export type Topic = (typeof TOPICS)[number]

/**
 * What can happen to an operation. Each status change is told once; the last
 * four are the ends, and exactly one of them is told for each operation.
 */
export const OPERATION_EVENTS = [
  'submitted',
  'started',
  'phase',
  'warning',
  /** Somebody asked for a pause or cancel of a running operation. */
  'intent',
  'paused',
  /** Back in the queue by request; the next run goes on from the checkpoint. */
  'resumed',
  /** The worker vanished or was told to stop; the next run goes on from the checkpoint. */
  'interrupted',
  'completed',
  'failed',
  'cancelled',
  'expired',
] as const

export type OperationEvent = (typeof OPERATION_EVENTS)[number]

export const RECORD_EVENTS = ['created', 'changed', 'deleted'] as const

export interface NewEvent {
  readonly topic: Topic
  /** The id of the operation, source, snapshot ... */
  readonly topicId: string
  readonly accountId: string
  readonly type: OperationEvent | (typeof RECORD_EVENTS)[number]
  readonly atMs: number
  readonly data: JsonObject
}

/** An event as the log keeps it. Sequences rise in commit order: nothing appears below one that was read. */
export interface LoggedEvent extends NewEvent {
  readonly sequence: number
}

/** Progress is told live and not logged: only the newest is worth anything. */
export interface ProgressNews {
  readonly operationId: string
  readonly accountId: string
  readonly sourceId: string | null
  readonly progress: Progress
}
