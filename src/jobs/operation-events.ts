import type { NewEvent, OperationEvent } from '../core/events.ts'
import type { JsonObject } from '../core/json.ts'
import type { Operation } from '../core/operation.ts'
import type { Snapshot } from '../core/snapshot.ts'

/** One line of an operation's history. What it is about comes along, so that a feed can say it without looking it up. */
export function operationEvent(
  operation: Operation,
  type: OperationEvent,
  atMs: number,
  data: JsonObject = {},
): NewEvent {
  return {
    topic: 'operation',
    topicId: operation.id,
    accountId: operation.accountId,
    type,
    atMs,
    data: {
      kind: operation.kind,
      sourceId: operation.sourceId,
      status: operation.status,
      statusReason: operation.statusReason,
      attempt: operation.attempt,
      ...data,
    },
  }
}

export function snapshotEvent(
  snapshot: Pick<Snapshot, 'id' | 'accountId' | 'sourceId'>,
  type: 'created' | 'changed',
  atMs: number,
  data: JsonObject = {},
): NewEvent {
  return {
    topic: 'snapshot',
    topicId: snapshot.id,
    accountId: snapshot.accountId,
    type,
    atMs,
    data: { sourceId: snapshot.sourceId, ...data },
  }
}
