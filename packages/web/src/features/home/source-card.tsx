import { Link } from 'react-aria-components'
import { sourcePath } from '../../connection/sources.ts'
import { bytesText, countOf } from '../../ui/amounts.ts'
import { Badge, type Tone } from '../../ui/badge.tsx'
import type { IconName } from '../../ui/icon.tsx'
import { Ago } from '../../ui/time.tsx'
import { OperationProgress } from '../operations/operation-progress.tsx'
import { operationTitle } from '../operations/operation-words.ts'
import { BackUpNow } from '../sources/back-up-now.tsx'
import './source-card.css'
import type { SourceState, StateName } from './source-state.ts'

const LOOKS = {
  failed: { tone: 'bad', icon: 'alert', word: 'Backup failed' },
  damaged: { tone: 'bad', icon: 'alert', word: 'Damaged' },
  unprotected: { tone: 'warn', icon: 'alert', word: 'No backup yet' },
  incomplete: { tone: 'warn', icon: 'alert', word: 'With warnings' },
  stopped: { tone: 'still', icon: 'ban', word: 'Cancelled' },
  first: { tone: 'moving', icon: 'play', word: 'First backup' },
  paused: { tone: 'warn', icon: 'pause', word: 'Paused' },
  protected: { tone: 'good', icon: 'check', word: 'Protected' },
} as const satisfies Record<StateName, { tone: Tone; icon: IconName; word: string }>

function Three({ state: { snapshot } }: { state: SourceState }) {
  if (snapshot === null) return <p className="small faint">There is nothing to restore from.</p>
  return (
    <dl className="card-three numbers">
      <div>
        <dt>Last backup</dt>
        <dd>
          <Ago at={snapshot.createdAt} />
        </dd>
      </div>
      <div>
        <dt>Verified</dt>
        <dd>{snapshot.verifiedAt ? <Ago at={snapshot.verifiedAt} /> : 'never'}</dd>
      </div>
      <div>
        <dt>Size</dt>
        <dd title={countOf(snapshot.itemCount, 'file')}>{bytesText(snapshot.contentBytes)}</dd>
      </div>
    </dl>
  )
}

/** One source: how it stands, three facts, and the one thing to do. */
export function SourceCard({ state }: { state: SourceState }) {
  const { source, live } = state
  const look = LOOKS[state.name]
  return (
    <li className={`card card-${look.tone}`}>
      <div className="card-head">
        <h3 className="card-name">
          <Link href={`/sources/${source.id}`} className="clip">
            {source.name}
          </Link>
        </h3>
        <Badge tone={look.tone} icon={look.icon}>
          {look.word}
        </Badge>
      </div>
      <p className="card-path mono small faint clip" title={sourcePath(source)}>
        {sourcePath(source)}
      </p>
      <div className="card-body">
        {live ? (
          <Link href={`/operations/${live.id}`} className="card-live">
            <OperationProgress operation={live} label={operationTitle(live, source.name)} thin />
          </Link>
        ) : (
          <Three state={state} />
        )}
      </div>
      <div className="card-foot">
        {live ? (
          <span className="small faint">
            {state.snapshot ? (
              <>
                Last backup <Ago at={state.snapshot.createdAt} />
              </>
            ) : (
              'No snapshot yet'
            )}
          </span>
        ) : (
          <BackUpNow source={source} />
        )}
      </div>
    </li>
  )
}
