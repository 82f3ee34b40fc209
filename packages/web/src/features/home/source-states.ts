import type { Holdfast, OperationWire, SnapshotWire, SourceWire } from '@holdfast/sdk'
import { useMemo } from 'react'
import { useLive, useRecord } from '../../connection/connection.tsx'
import type { Seen } from '../../connection/records.ts'
import { readSources } from '../../connection/sources.ts'
import { byUrgency, judge, type SourceState } from './source-state.ts'

interface SourceFacts {
  readonly source: SourceWire
  readonly backup: OperationWire | null
  readonly snapshot: SnapshotWire | null
}

const SEEN_MAX = 200
const TOGETHER = 6

type Newest<T> = Map<string, T>

function newestBySource<T extends { sourceId: string | null }>(items: readonly T[]): Newest<T> {
  const newest: Newest<T> = new Map()
  for (const item of items) {
    if (item.sourceId !== null && !newest.has(item.sourceId)) newest.set(item.sourceId, item)
  }
  return newest
}

/** Asks for a few at a time: a fleet of sources must not flood the server. */
async function eachOf(ids: readonly string[], ask: (id: string) => Promise<void>): Promise<void> {
  for (let index = 0; index < ids.length; index += TOGETHER) {
    await Promise.all(ids.slice(index, index + TOGETHER).map(ask))
  }
}

async function readFacts(holdfast: Holdfast, signal: AbortSignal): Promise<SourceFacts[]> {
  const [sources, backupPage, snapshotPage] = await Promise.all([
    readSources(holdfast, signal),
    holdfast.operations.list({ kind: 'backup', limit: SEEN_MAX, signal }),
    holdfast.snapshots.list({ limit: SEEN_MAX, signal }),
  ])
  const backups = newestBySource(backupPage.items)
  const snapshots = newestBySource(snapshotPage.items)
  const ids = sources.map(({ id }) => id)
  // Where the newest of all did not reach every source, the rest is asked for one by one.
  const noBackup = backupPage.nextCursor === null ? [] : ids.filter((id) => !backups.has(id))
  await eachOf(noBackup, async (id) => {
    const page = await holdfast.operations.list({ kind: 'backup', source: id, limit: 1, signal })
    for (const item of page.items) backups.set(id, item)
  })
  const noSnapshot = snapshotPage.nextCursor === null ? [] : ids.filter((id) => !snapshots.has(id))
  await eachOf(noSnapshot, async (id) => {
    const page = await holdfast.snapshots.list({ source: id, limit: 1, signal })
    for (const item of page.items) snapshots.set(id, item)
  })
  return sources.map((source) => ({
    source,
    backup: backups.get(source.id) ?? null,
    snapshot: snapshots.get(source.id) ?? null,
  }))
}

/** Every source as it stands now, worst first. */
export function useSourceStates(): Seen<SourceState[]> {
  const { data, problem } = useRecord('source-facts', readFacts, [
    'source',
    'snapshot',
    'operation',
  ])
  const operations = useLive((snapshot) => snapshot.operations)
  const states = useMemo(() => {
    if (data === undefined) return undefined
    const backups = [...operations.values()].filter(({ kind }) => kind === 'backup')
    return data
      .map(({ source, backup, snapshot }) => {
        const known = new Map<string, OperationWire>()
        if (backup !== null) known.set(backup.id, backup)
        for (const own of backups) if (own.sourceId === source.id) known.set(own.id, own)
        const newestFirst = [...known.values()].sort((left, right) => (left.id < right.id ? 1 : -1))
        return judge(source, newestFirst, snapshot)
      })
      .sort(byUrgency)
  }, [data, operations])
  return { data: states, problem }
}
