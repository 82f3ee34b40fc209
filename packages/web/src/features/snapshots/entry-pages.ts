import type { PageWire, SnapshotEntryWire } from '@holdfast/sdk'
import { useCallback, useRef, useState } from 'react'
import { useHoldfast, useRecord } from '../../connection/connection.tsx'
import { sayProblem } from '../../ui/toast.tsx'

const PAGE = 200

interface More {
  readonly key: string
  readonly items: readonly SnapshotEntryWire[]
  readonly cursor: string | null | undefined
}

/** The entries of one folder of a snapshot, as far as they were read. */
export function useEntries(snapshotId: string, path: string) {
  const holdfast = useHoldfast()
  const key = `entries:${snapshotId}:${path}`
  const options = path === '' ? { limit: PAGE } : { limit: PAGE, path }
  const first = useRecord<PageWire<SnapshotEntryWire>>(key, (client, signal) =>
    client.snapshots.browse(snapshotId, { ...options, signal }),
  )
  const [stored, setMore] = useState<More>({ key, items: [], cursor: undefined })
  const more = stored.key === key ? stored : { key, items: [], cursor: undefined }
  const reading = useRef(false)
  const cursor = more.cursor === undefined ? first.data?.nextCursor : more.cursor
  const readMore = useCallback(async () => {
    if (reading.current || !cursor) return
    reading.current = true
    try {
      const inside = path === '' ? {} : { path }
      const page = await holdfast.snapshots.browse(snapshotId, { ...inside, limit: PAGE, cursor })
      setMore({ key, items: [...more.items, ...page.items], cursor: page.nextCursor })
    } catch (error) {
      sayProblem(error)
    } finally {
      reading.current = false
    }
  }, [cursor, holdfast, key, more.items, path, snapshotId])
  return {
    items: first.data === undefined ? undefined : [...first.data.items, ...more.items],
    hasMore: Boolean(cursor),
    problem: first.problem,
    readMore,
  }
}
