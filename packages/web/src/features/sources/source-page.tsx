import type { PageWire, SnapshotWire, SourceWire } from '@holdfast/sdk'
import { useMemo, useState } from 'react'
import { Link } from 'react-aria-components'
import { useLive, useRecord } from '../../connection/connection.tsx'
import { sourcePath } from '../../connection/sources.ts'
import { Badge } from '../../ui/badge.tsx'
import { Button } from '../../ui/button.tsx'
import { EmptyState } from '../../ui/empty-state.tsx'
import { Equivalent } from '../../ui/equivalent.tsx'
import { type Fact, Facts } from '../../ui/facts.tsx'
import { PageHead, Panel } from '../../ui/page.tsx'
import { Ago } from '../../ui/time.tsx'
import { momentText } from '../../ui/times.ts'
import { useOperationList } from '../operations/operation-list.ts'
import { OperationRow } from '../operations/operation-row.tsx'
import { curlPost, shellWord } from '../protect/protection.ts'
import { Missing } from '../shell/missing.tsx'
import { usePageTitle } from '../shell/page-title.ts'
import { BackUpNow } from './back-up-now.tsx'
import { EditDialog } from './edit-dialog.tsx'
import { SnapshotTimeline } from './snapshot-timeline.tsx'

const SNAPSHOTS_SHOWN = 100
const OPERATIONS_SHOWN = 8

const text = (value: unknown, otherwise: string): string =>
  typeof value === 'string' && value.trim() !== '' ? value.trim() : otherwise

function SourceFacts({ source, newest }: { source: SourceWire; newest: SnapshotWire | undefined }) {
  const facts: Fact[] = [
    { name: 'Last backup', value: newest ? <Ago at={newest.createdAt} /> : 'never' },
    { name: 'Last verified', value: newest?.verifiedAt ? <Ago at={newest.verifiedAt} /> : 'never' },
    { name: 'Compression', value: text(source.config['compression'], 'zstd') },
    { name: 'Protected since', value: momentText(source.createdAt) },
    { name: 'Folder', value: sourcePath(source), wide: true },
  ]
  const ignore = text(source.config['ignore'], '')
  if (ignore !== '') {
    facts.push({ name: 'Ignored', value: ignore.split('\n').join('  ·  '), wide: true })
  }
  return <Facts facts={facts} />
}

function Snapshots({ page }: { page: PageWire<SnapshotWire> | undefined }) {
  if (page === undefined) return <p className="faint panel-body">Reading snapshots…</p>
  if (page.items.length === 0) {
    return (
      <EmptyState icon="archive" title="No snapshot yet">
        A snapshot appears here when a backup has completed.
      </EmptyState>
    )
  }
  return <SnapshotTimeline snapshots={page.items} />
}

function Recent({ source }: { source: SourceWire }) {
  const filter = useMemo(() => ({ kind: '', status: '' as const, source: source.id }), [source.id])
  const { items } = useOperationList(filter)
  if (items.length === 0) return null
  const all = <Link href={`/operations?source=${source.id}`}>All of this source</Link>
  return (
    <Panel title="Operations" aside={all} flush>
      <ul aria-label="Operations" className="home">
        {items.slice(0, OPERATIONS_SHOWN).map((operation) => (
          <li key={operation.id}>
            <OperationRow operation={operation} sourceName={source.name} />
          </li>
        ))}
      </ul>
    </Panel>
  )
}

export function SourcePage({ id }: { id: string }) {
  const { data: source, problem } = useRecord(
    `source:${id}`,
    (holdfast, signal) => holdfast.sources.get(id, { signal }),
    ['source'],
  )
  const { data: page } = useRecord(
    `snapshots:${id}`,
    (holdfast, signal) => holdfast.snapshots.list({ source: id, limit: SNAPSHOTS_SHOWN, signal }),
    ['snapshot'],
  )
  const isBusy = useLive((snapshot) =>
    [...snapshot.operations.values()].some(
      ({ sourceId, kind, status }) => sourceId === id && kind === 'backup' && status === 'running',
    ),
  )
  const [editing, setEditing] = useState(false)
  usePageTitle(source?.name ?? 'Source')
  if (source === undefined) return <Missing what="source" problem={problem} />
  return (
    <div className="page">
      <PageHead
        crumbs={[{ name: 'Sources', href: '/sources' }]}
        title={source.name}
        badge={
          isBusy ? (
            <Badge tone="moving" icon="play">
              Backing up
            </Badge>
          ) : undefined
        }
        actions={
          <>
            <BackUpNow source={source} primary />
            {source.kind === 'directory' && (
              <Button icon="settings" onPress={() => setEditing(true)}>
                Edit
              </Button>
            )}
          </>
        }
      />
      <Panel title="Snapshots" flush>
        <Snapshots page={page} />
      </Panel>
      <Panel title="Facts">
        <SourceFacts source={source} newest={page?.items[0]} />
      </Panel>
      <Recent source={source} />
      <Equivalent
        cli={`holdfast backup ${shellWord(sourcePath(source))}`}
        api={curlPost(`${location.origin}/api/v1/operations`, { kind: 'backup', sourceId: id })}
      />
      {editing && <EditDialog source={source} onClose={() => setEditing(false)} />}
    </div>
  )
}
