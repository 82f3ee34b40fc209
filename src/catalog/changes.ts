import type { Caller } from '../core/account.ts'
import type { RECORD_EVENTS, Topic } from '../core/events.ts'
import type { JsonObject } from '../core/json.ts'
import { actorOf } from '../core/permissions.ts'
import type { Clock } from '../platform/clock.ts'
import type { Ids } from '../platform/ids.ts'
import { insertAudit } from '../store/audit.ts'
import type { WriteTransaction } from '../store/database.ts'

export interface Change {
  readonly caller: Caller
  readonly topic: Topic
  readonly topicId: string
  /** Whose record it is. */
  readonly accountId: string
  readonly type: (typeof RECORD_EVENTS)[number]
  /** As the audit trail names it, such as `snapshot.pin`. */
  readonly action: string
  /** What to tell of it. Never a secret. */
  readonly data: JsonObject
}

export interface ChangeTeller {
  readonly clock: Pick<Clock, 'nowMs'>
  readonly ids: Ids
}

/** Says a change in the event log and in the audit trail, in the commit that makes it. */
export async function tellChange(
  tx: WriteTransaction,
  { clock, ids }: ChangeTeller,
  { caller, topic, topicId, accountId, type, action, data }: Change,
): Promise<void> {
  const atMs = clock.nowMs()
  tx.append({ topic, topicId, accountId, type, atMs, data })
  const actor = actorOf(caller)
  await insertAudit(tx, { id: ids.newId(), accountId, actor, action, topic, topicId, data, atMs })
}
