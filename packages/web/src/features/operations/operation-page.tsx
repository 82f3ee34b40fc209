import { isFinal, type OperationWire } from '@holdfast/sdk'
import { Link } from 'react-aria-components'
import { useLive, useOperation } from '../../connection/connection.tsx'
import { useSourceNames } from '../../connection/sources.ts'
import { bytesText, rateText } from '../../ui/amounts.ts'
import { Equivalent } from '../../ui/equivalent.tsx'
import { type Fact, Facts } from '../../ui/facts.tsx'
import { Icon } from '../../ui/icon.tsx'
import { useNow } from '../../ui/now.ts'
import { PageHead, Panel } from '../../ui/page.tsx'
import { ProgressBar } from '../../ui/progress-bar.tsx'
import { Ago } from '../../ui/time.tsx'
import { durationText, leftText, momentText } from '../../ui/times.ts'
import { Missing } from '../shell/missing.tsx'
import { usePageTitle } from '../shell/page-title.ts'
import { OperationBadge } from './operation-badge.tsx'
import { OperationControls } from './operation-controls.tsx'
import { OperationHistory } from './operation-history.tsx'
import { OperationOutcome } from './operation-outcome.tsx'
import './operation-page.css'
import { amountText, itemsText } from './operation-progress.tsx'
import { OperationWarnings } from './operation-warnings.tsx'
import {
  asSentence,
  barTone,
  foundDamage,
  operationTitle,
  percentText,
  phaseText,
} from './operation-words.ts'
import { warningsName } from './verify-words.ts'

function Figures({ operation, offline }: { operation: OperationWire; offline: boolean }) {
  const nowMs = useNow()
  const { progress, status, startedAt, finishedAt } = operation
  const end = finishedAt === null ? nowMs : Date.parse(finishedAt)
  const running = status === 'running' && !offline
  const facts: Fact[] = [
    { name: 'Data', value: amountText(operation) },
    { name: 'Files', value: itemsText(operation) },
  ]
  if (running && progress.ratePerSecond !== null) {
    facts.push({ name: 'Speed', value: rateText(progress.ratePerSecond) })
  }
  if (running && progress.secondsLeft !== null) {
    facts.push({ name: 'Time left', value: leftText(progress.secondsLeft) })
  }
  if (startedAt !== null) {
    const name = finishedAt === null ? 'Running for' : 'Took'
    if (finishedAt !== null || running) {
      facts.push({ name, value: durationText(end - Date.parse(startedAt)) })
    }
  }
  if (operation.resumedCount > 0) {
    const times = operation.resumedCount === 1 ? 'once' : `${operation.resumedCount} times`
    facts.push({
      name: `Resumed ${times}`,
      value: `${bytesText(operation.bytesNotRedone)} not done again`,
    })
  }
  return <Facts facts={facts} />
}

/** What becomes of it when nobody looks. */
function Safety({ isPaused, offline }: { isPaused: boolean; offline: boolean }) {
  const kept = isPaused
    ? 'It waits here until it is resumed, also over a restart. Safe to close this tab.'
    : 'Safe to close this tab: the server goes on by itself, and picks up here after a restart.'
  return (
    <p className={`operation-safe small soft${offline ? ' operation-unsure' : ''}`}>
      <Icon name={offline ? 'clock' : 'check'} size={15} />
      {offline
        ? 'The server does not answer just now; what it has done is kept, and this page goes on by itself.'
        : kept}
    </p>
  )
}

function Hero({ operation, title }: { operation: OperationWire; title: string }) {
  const { progress, status } = operation
  const offline = useLive((snapshot) => snapshot.state === 'offline')
  const live = !isFinal(status)
  return (
    <section className="panel operation-hero" aria-label="Progress">
      <div className="operation-figure">
        <span className="operation-percent numbers">{percentText(operation)}</span>
        {live && progress.percent !== null && (
          <span className="soft">{phaseText(progress.phase)}</span>
        )}
      </div>
      <ProgressBar label={title} percent={progress.percent} tone={barTone(operation, offline)} />
      {status === 'running' && (
        <p className="operation-item mono small faint clip">{progress.currentItem ?? '\u00a0'}</p>
      )}
      <Figures operation={operation} offline={offline} />
      <OperationOutcome operation={operation} />
      {live && <Safety isPaused={status === 'paused'} offline={offline} />}
    </section>
  )
}

function Origin({ operation, sourceName }: { operation: OperationWire; sourceName: string }) {
  const { sourceId, snapshotId, retryOf } = operation
  const facts: Fact[] = [{ name: 'Submitted', value: momentText(operation.createdAt) }]
  if (sourceId !== null) {
    facts.unshift({
      name: 'Source',
      value: <Link href={`/sources/${sourceId}`}>{sourceName}</Link>,
    })
  }
  if (snapshotId !== null) {
    facts.push({ name: 'Snapshot', value: <Link href={`/snapshots/${snapshotId}`}>Open</Link> })
  }
  if (retryOf !== null) {
    facts.push({
      name: 'Retry of',
      value: <Link href={`/operations/${retryOf}`}>Earlier try</Link>,
    })
  }
  const target = operation.input['target'] as { path?: string } | undefined
  const verb = operation.kind === 'verify' ? 'Compared with' : 'Restored to'
  if (target?.path) facts.push({ name: verb, value: target.path, wide: true })
  facts.push({ name: 'Operation', value: operation.id, wide: true })
  return <Facts facts={facts} />
}

/** Why it is in this status, where the status does not say it all, and since when. */
function Lead({ operation }: { operation: OperationWire }) {
  const { status, statusReason, finishedAt, startedAt, createdAt } = operation
  const verb = finishedAt ? 'Finished' : startedAt ? 'Started' : 'Submitted'
  return (
    <>
      {statusReason !== status && `${asSentence(statusReason)} `}
      {verb} <Ago at={finishedAt ?? startedAt ?? createdAt} />.
    </>
  )
}

export function OperationPage({ id }: { id: string }) {
  const { data: operation, problem } = useOperation(id)
  const nameOf = useSourceNames()
  const sourceName = operation ? nameOf(operation.sourceId) : ''
  const title = operation ? operationTitle(operation, sourceName) : 'Operation'
  const live = operation !== undefined && !isFinal(operation.status)
  usePageTitle(title, live ? percentText(operation) : undefined)
  if (operation === undefined) return <Missing what="operation" problem={problem} />
  return (
    <div className="page">
      <PageHead
        crumbs={[{ name: 'Operations', href: '/operations' }]}
        title={title}
        badge={
          <span role="status" aria-label="Status">
            <OperationBadge operation={operation} />
          </span>
        }
        actions={<OperationControls operation={operation} />}
        lead={<Lead operation={operation} />}
      />
      <Hero operation={operation} title={title} />
      <OperationWarnings
        id={id}
        name={warningsName(operation)}
        areDamages={foundDamage(operation)}
      />
      <div className="operation-columns">
        <Panel title="History">
          <OperationHistory id={id} />
        </Panel>
        <Panel title="About">
          <Origin operation={operation} sourceName={sourceName} />
        </Panel>
      </div>
      <Equivalent
        cli={`holdfast watch ${id}`}
        api={`curl -H "Authorization: Bearer $TOKEN" ${location.origin}/api/v1/operations/${id}`}
      />
    </div>
  )
}
