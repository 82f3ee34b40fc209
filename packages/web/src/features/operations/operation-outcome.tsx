import { isFinal, type OperationWire } from '@holdfast/sdk'
import { useRecord } from '../../connection/connection.tsx'
import { ButtonLink } from '../../ui/button.tsx'
import { Notice } from '../../ui/notice.tsx'
import { RestoreProof } from '../restore/restore-proof.tsx'
import { restoreSentence } from '../restore/restore-words.ts'
import { asSentence, foundDamage } from './operation-words.ts'
import { verifySentence } from './verify-words.ts'

const SNAPSHOTS_SEEN = 50

/** The snapshot that this backup left. */
function LeftSnapshot({ operation }: { operation: OperationWire }) {
  const sourceId = operation.sourceId ?? ''
  const { data } = useRecord(
    `snapshots-of:${sourceId}:${operation.id}`,
    (holdfast, signal) =>
      holdfast.snapshots.list({ source: sourceId, limit: SNAPSHOTS_SEEN, signal }),
    ['snapshot'],
  )
  const id =
    operation.snapshotId ?? data?.items.find((item) => item.operationId === operation.id)?.id
  if (id === undefined) return null
  return (
    <ButtonLink look="primary" icon="archive" href={`/snapshots/${id}`}>
      Open snapshot
    </ButtonLink>
  )
}

/** How it ended, in a sentence, and the next step. */
export function OperationOutcome({ operation }: { operation: OperationWire }) {
  const { kind, status, outcome, snapshotId } = operation
  if (!isFinal(status)) return null
  if (status === 'failed') {
    return (
      <Notice tone="bad">{asSentence(operation.error?.message ?? operation.statusReason)}</Notice>
    )
  }
  if (status !== 'completed') {
    return <Notice tone="still">{asSentence(operation.statusReason)}</Notice>
  }
  const tone = foundDamage(operation) ? 'bad' : outcome === 'warning' ? 'warn' : 'good'
  if (kind === 'backup') {
    return (
      <Notice tone={tone} action={<LeftSnapshot operation={operation} />}>
        {outcome === 'warning'
          ? 'The snapshot is kept. Some files were not read as they should be: see the warnings.'
          : 'The snapshot is published, durable and ready to be restored.'}
      </Notice>
    )
  }
  if (kind === 'restore' && snapshotId !== null) {
    return (
      <Notice tone={tone} action={<RestoreProof operation={operation} snapshotId={snapshotId} />}>
        {restoreSentence(operation)}
      </Notice>
    )
  }
  const words = kind === 'verify' ? verifySentence(operation) : asSentence(operation.statusReason)
  return <Notice tone={tone}>{words}</Notice>
}
