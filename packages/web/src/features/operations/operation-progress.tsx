import { isFinal, type OperationWire } from '@holdfast/sdk'
import { useLive } from '../../connection/connection.tsx'
import { bytesText, countOf, countText, rateText } from '../../ui/amounts.ts'
import { ProgressBar } from '../../ui/progress-bar.tsx'
import { leftText } from '../../ui/times.ts'
import './operation-progress.css'
import { barTone, percentText, phaseText } from './operation-words.ts'

/** `1.2 GB of 3.4 GB`, or only what is known. */
export function amountText({ progress }: OperationWire): string {
  const { bytesDone, bytesTotal } = progress
  if (bytesTotal === null || bytesTotal === bytesDone) return bytesText(bytesDone)
  return `${bytesText(bytesDone)} of ${bytesText(bytesTotal)}`
}

export function itemsText({ progress }: OperationWire): string {
  const { itemsDone, itemsTotal } = progress
  if (itemsTotal === null || itemsTotal === itemsDone) return countOf(itemsDone, 'file')
  return `${countText(itemsDone)} of ${countOf(itemsTotal, 'file')}`
}

/** The bar and, under it, one line of figures. */
export function OperationProgress({
  operation,
  label,
  thin = false,
}: {
  operation: OperationWire
  label: string
  thin?: boolean
}) {
  const { progress, status } = operation
  const isOffline = useLive(({ state }) => state === 'offline')
  const moving = status === 'running' && !isOffline
  return (
    <div className="progress">
      <ProgressBar
        label={label}
        percent={progress.percent}
        tone={barTone(operation, isOffline)}
        thin={thin}
      />
      <p className="progress-line numbers">
        <span className="progress-percent">{percentText(operation)}</span>
        {progress.percent !== null && !isFinal(status) && <span>{phaseText(progress.phase)}</span>}
        <span>{amountText(operation)}</span>
        <span>{itemsText(operation)}</span>
        {moving && progress.ratePerSecond !== null && (
          <span>{rateText(progress.ratePerSecond)}</span>
        )}
        {moving && progress.secondsLeft !== null && (
          <span>{leftText(progress.secondsLeft)} left</span>
        )}
      </p>
    </div>
  )
}
