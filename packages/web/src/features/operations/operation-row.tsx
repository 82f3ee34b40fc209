import { isFinal, type OperationWire } from '@holdfast/sdk'
import { Link } from 'react-aria-components'
import { Icon } from '../../ui/icon.tsx'
import { Ago } from '../../ui/time.tsx'
import { durationText } from '../../ui/times.ts'
import { OperationBadge } from './operation-badge.tsx'
import { OperationControls } from './operation-controls.tsx'
import { amountText, itemsText, OperationProgress } from './operation-progress.tsx'
import './operation-row.css'
import { asSentence, kindIcon, operationTitle } from './operation-words.ts'

function Ended({ operation }: { operation: OperationWire }) {
  const { startedAt, finishedAt, status } = operation
  if (status === 'failed') {
    return <p className="row-line row-reason">{asSentence(operation.statusReason)}</p>
  }
  const took =
    startedAt !== null && finishedAt !== null
      ? Date.parse(finishedAt) - Date.parse(startedAt)
      : null
  return (
    <p className="row-line numbers">
      <span>{amountText(operation)}</span>
      <span>{itemsText(operation)}</span>
      {took !== null && <span>in {durationText(took)}</span>}
    </p>
  )
}

/** One operation in a list: what, how far, how it ended. */
export function OperationRow({
  operation,
  sourceName,
}: {
  operation: OperationWire
  sourceName: string
}) {
  const title = operationTitle(operation, sourceName)
  const live = !isFinal(operation.status)
  return (
    <article className="row" aria-label={title}>
      <span className="row-sign">
        <Icon name={kindIcon(operation.kind)} />
      </span>
      <div className="row-words">
        <Link href={`/operations/${operation.id}`} className="row-title clip">
          {title}
        </Link>
        {live ? (
          <OperationProgress operation={operation} label={title} thin />
        ) : (
          <Ended operation={operation} />
        )}
      </div>
      <div className="row-acts">{live && <OperationControls operation={operation} compact />}</div>
      <div className="row-side">
        <OperationBadge operation={operation} />
        <span className="row-when">
          <Ago at={operation.finishedAt ?? operation.startedAt ?? operation.createdAt} />
        </span>
      </div>
    </article>
  )
}
