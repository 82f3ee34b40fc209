import type { Caller } from '../core/account.ts'
import type { JsonObject } from '../core/json.ts'
import type { Operation } from '../core/operation.ts'
import { actorOf } from '../core/permissions.ts'
import { insertAudit } from '../store/audit.ts'
import type { WriteTransaction } from '../store/database.ts'
import type { Ask } from './intents.ts'
import type { Room } from './room.ts'

/**
 * Writes into the audit trail who had an operation do what, in the commit that
 * does it. A retry is a submission that says of what. Whoever asks for what is
 * so already has changed nothing, and leaves no line.
 */
export async function recordAct(
  tx: WriteTransaction,
  room: Pick<Room, 'ids' | 'clock'>,
  act: { readonly caller: Caller; readonly action: 'submit' | Ask; readonly operation: Operation },
): Promise<void> {
  const { caller, action, operation } = act
  await insertAudit(tx, {
    id: room.ids.newId(),
    accountId: operation.accountId,
    actor: actorOf(caller),
    action: `operation.${action}`,
    topic: 'operation',
    topicId: operation.id,
    data: action === 'submit' ? whatIsSubmitted(operation) : {},
    atMs: room.clock.nowMs(),
  })
}

const whatIsSubmitted = ({ kind, sourceId, snapshotId, retryOf }: Operation): JsonObject => ({
  kind,
  sourceId,
  snapshotId,
  retryOf,
})
