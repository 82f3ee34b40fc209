import type { OperationStatus } from '@holdfast/sdk'
import { useCallback, useMemo } from 'react'
import { useSourceNames, useSources } from '../../connection/sources.ts'
import { navigate, usePlace, withQuery } from '../../router/router.ts'
import { Button } from '../../ui/button.tsx'
import { EmptyState } from '../../ui/empty-state.tsx'
import { Notice } from '../../ui/notice.tsx'
import { PageHead, Panel } from '../../ui/page.tsx'
import { Select } from '../../ui/select.tsx'
import { sentenceOf } from '../../ui/toast.tsx'
import { WindowList } from '../../ui/window-list.tsx'
import { usePageTitle } from '../shell/page-title.ts'
import { type ListFilter, useOperationList } from './operation-list.ts'
import { OperationRow } from './operation-row.tsx'
import './operations-page.css'

const STATUSES = [
  { id: '', name: 'Any status' },
  { id: 'running', name: 'Running' },
  { id: 'pending', name: 'Pending' },
  { id: 'paused', name: 'Paused' },
  { id: 'completed', name: 'Completed' },
  { id: 'failed', name: 'Failed' },
  { id: 'cancelled', name: 'Cancelled' },
] as const

const KINDS = [
  { id: '', name: 'Any kind' },
  { id: 'backup', name: 'Backup' },
  { id: 'restore', name: 'Restore' },
  { id: 'verify', name: 'Verify' },
] as const

const ROW_HEIGHT = 68

const toStatus = (text: string | null): OperationStatus | '' =>
  STATUSES.find(({ id }) => id === text)?.id ?? ''

function useFilter(): ListFilter {
  const { query } = usePlace()
  const kind = query.get('kind') ?? ''
  const status = toStatus(query.get('status'))
  const source = query.get('source') ?? ''
  return useMemo(() => ({ kind, status, source }), [kind, status, source])
}

function Filters({ filter }: { filter: ListFilter }) {
  const place = usePlace()
  const sources = useSources().data ?? []
  const choose = (name: string) => (value: string) =>
    navigate(withQuery(place, { [name]: value }), { replace: true })
  const named = sources.map(({ id, name }) => ({ id, name }))
  return (
    // biome-ignore lint/a11y/useSemanticElements: nothing is submitted, so this is no form
    <div className="filters" role="group" aria-label="Filters">
      <Select label="Status" value={filter.status} options={STATUSES} onChange={choose('status')} />
      <Select label="Kind" value={filter.kind} options={KINDS} onChange={choose('kind')} />
      <Select
        label="Source"
        value={filter.source}
        options={[{ id: '', name: 'Any source' }, ...named]}
        onChange={choose('source')}
      />
    </div>
  )
}

export function OperationsPage() {
  usePageTitle('Operations')
  const filter = useFilter()
  const { items, isRead, problem, readOlder } = useOperationList(filter)
  const nameOf = useSourceNames()
  const onEnd = useCallback(() => void readOlder(), [readOlder])
  const filtered = Object.values(filter).some((value) => value !== '')
  return (
    <div className="page">
      <PageHead title="Operations" lead="Everything that ran, runs or waits, newest first." />
      <Filters filter={filter} />
      {problem && items.length === 0 && <Notice tone="bad">{sentenceOf(problem)}</Notice>}
      {items.length > 0 && (
        <Panel flush>
          <WindowList
            label="Operations"
            items={items}
            keyOf={(operation) => operation.id}
            rowHeight={ROW_HEIGHT}
            onEnd={onEnd}
          >
            {(operation) => (
              <OperationRow operation={operation} sourceName={nameOf(operation.sourceId)} />
            )}
          </WindowList>
        </Panel>
      )}
      {isRead && items.length === 0 && (
        <EmptyState
          icon="operations"
          title={filtered ? 'Nothing matches these filters' : 'Nothing has run yet'}
          action={
            filtered && (
              <Button onPress={() => navigate('/operations', { replace: true })}>
                Clear filters
              </Button>
            )
          }
        >
          {filtered
            ? null
            : 'Protect a folder on the home page, and its first backup appears here.'}
        </EmptyState>
      )}
    </div>
  )
}
