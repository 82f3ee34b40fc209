import type { SnapshotWire } from '@holdfast/sdk'
import { Link } from 'react-aria-components'
import { bytesText } from '../../ui/amounts.ts'
import { Icon } from '../../ui/icon.tsx'
import { useNow } from '../../ui/now.ts'
import { clockText, dayText, momentText } from '../../ui/times.ts'
import { verifiedLook } from '../snapshots/snapshot-words.ts'
import './snapshot-timeline.css'

function Tile({ snapshot, nowMs }: { snapshot: SnapshotWire; nowMs: number }) {
  const look = verifiedLook(snapshot)
  return (
    <li className={`tile tile-${look.tone}`}>
      <Link
        href={`/snapshots/${snapshot.id}`}
        className="tile-link numbers"
        aria-label={`Snapshot of ${momentText(snapshot.createdAt)}, ${bytesText(snapshot.contentBytes)}, ${look.word}`}
      >
        <span className="tile-day">{dayText(snapshot.createdAt, nowMs)}</span>
        <span className="tile-time">{clockText(snapshot.createdAt)}</span>
        <span className="tile-size">{bytesText(snapshot.contentBytes)}</span>
        <span className={`tile-verified tile-verified-${look.tone}`}>
          <Icon name={look.icon} size={13} />
          {look.short}
        </span>
      </Link>
    </li>
  )
}

/** The points in time of one source, newest first, in a row that scrolls sideways. */
export function SnapshotTimeline({ snapshots }: { snapshots: readonly SnapshotWire[] }) {
  const nowMs = useNow()
  return (
    <ol className="timeline" aria-label="Snapshots">
      {snapshots.map((snapshot) => (
        <Tile key={snapshot.id} snapshot={snapshot} nowMs={nowMs} />
      ))}
    </ol>
  )
}
