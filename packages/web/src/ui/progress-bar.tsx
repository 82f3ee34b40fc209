import { ProgressBar as AriaProgressBar } from 'react-aria-components'
import './progress-bar.css'

export type BarTone = 'moving' | 'still' | 'good' | 'warn' | 'bad'

/**
 * An honest bar: with `percent` null it says that the end is not known yet,
 * instead of showing a figure.
 */
export function ProgressBar({
  label,
  percent,
  tone = 'moving',
  thin = false,
}: {
  label: string
  percent: number | null
  tone?: BarTone
  thin?: boolean
}) {
  const unknown = percent === null
  return (
    <AriaProgressBar
      aria-label={label}
      isIndeterminate={unknown}
      value={percent ?? 0}
      valueLabel={unknown ? 'total not known yet' : `${percent} %`}
      className={`bar bar-${tone}${thin ? ' bar-thin' : ''}${unknown ? ' bar-unknown' : ''}`}
    >
      <span className="bar-fill" style={unknown ? undefined : { width: `${percent}%` }} />
    </AriaProgressBar>
  )
}
