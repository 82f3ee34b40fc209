import { isFinal, type LiveSnapshot, type OperationWire } from '@holdfast/sdk'
import { useMemo, useState } from 'react'
import { Link } from 'react-aria-components'
import { useLive, useRecord } from '../../connection/connection.tsx'
import { useSourceNames } from '../../connection/sources.ts'
import { Button } from '../../ui/button.tsx'
import { Icon } from '../../ui/icon.tsx'
import { Notice } from '../../ui/notice.tsx'
import { useNow } from '../../ui/now.ts'
import { Panel } from '../../ui/page.tsx'
import { sentenceOf } from '../../ui/toast.tsx'
import { OperationRow } from '../operations/operation-row.tsx'
import { ProtectDialog } from '../protect/protect-dialog.tsx'
import { usePageTitle } from '../shell/page-title.ts'
import './home-page.css'
import { SourceCard } from './source-card.tsx'
import type { SourceState } from './source-state.ts'
import { useSourceStates } from './source-states.ts'
import { verdictOf } from './verdict.ts'
import { Welcome } from './welcome.tsx'

const RECENT = 6

const operationsOf = (snapshot: LiveSnapshot) => snapshot.operations

function VerdictLine({ states }: { states: readonly SourceState[] }) {
  const verdict = verdictOf(states, useNow())
  const icon = verdict.tone === 'good' ? 'shield' : verdict.tone === 'moving' ? 'clock' : 'alert'
  return (
    <div className={`verdict verdict-${verdict.tone}`}>
      <span className="verdict-sign">
        <Icon name={icon} size={26} />
      </span>
      <div>
        <h1 data-testid="verdict">{verdict.sentence}</h1>
        <p className="soft">{verdict.detail}</p>
      </div>
    </div>
  )
}

/** What runs or waits, then what ended last. */
function Activity() {
  const nameOf = useSourceNames()
  const live = useLive(operationsOf)
  const { data } = useRecord(
    'recent-operations',
    (holdfast, signal) => holdfast.operations.list({ limit: RECENT * 2, signal }),
    ['operation'],
  )
  const shown = useMemo(() => {
    const known = new Map<string, OperationWire>()
    for (const item of [...(data?.items ?? []), ...live.values()]) {
      known.set(item.id, live.get(item.id) ?? item)
    }
    const ends = (item: OperationWire) => (isFinal(item.status) ? 1 : 0)
    return [...known.values()]
      .sort((left, right) => ends(left) - ends(right) || (left.id < right.id ? 1 : -1))
      .slice(0, RECENT)
  }, [data, live])
  if (shown.length === 0) return null
  return (
    <Panel title="Activity" aside={<Link href="/operations">All operations</Link>} flush>
      <ul aria-label="Activity">
        {shown.map((operation) => (
          <li key={operation.id}>
            <OperationRow operation={operation} sourceName={nameOf(operation.sourceId)} />
          </li>
        ))}
      </ul>
    </Panel>
  )
}

export function HomePage() {
  usePageTitle('Home')
  const { data: states, problem } = useSourceStates()
  const [protecting, setProtecting] = useState(false)
  const protect = () => setProtecting(true)
  const dialog = <ProtectDialog isOpen={protecting} onClose={() => setProtecting(false)} />
  if (states === undefined) {
    if (problem) return <Notice tone="bad">{sentenceOf(problem)}</Notice>
    return (
      <p className="faint" aria-busy="true">
        Reading how things stand…
      </p>
    )
  }
  if (states.length === 0) {
    return (
      <>
        <Welcome onProtect={protect} />
        {dialog}
      </>
    )
  }
  return (
    <div className="page home">
      <VerdictLine states={states} />
      <section aria-label="Sources" className="home-sources">
        <header className="home-bar">
          <h2>Sources</h2>
          <Button look="primary" icon="plus" onPress={protect}>
            Protect a folder
          </Button>
        </header>
        <ul className="cards">
          {states.map((state) => (
            <SourceCard key={state.source.id} state={state} />
          ))}
        </ul>
      </section>
      <Activity />
      {dialog}
    </div>
  )
}
