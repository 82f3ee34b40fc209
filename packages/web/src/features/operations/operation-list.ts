import type { OperationFilter, OperationStatus, OperationWire, PageWire } from '@holdfast/sdk'
import { useCallback, useMemo, useRef, useState } from 'react'
import { useHoldfast, useLive, useRecord } from '../../connection/connection.tsx'
import { sayProblem } from '../../ui/toast.tsx'

export interface ListFilter {
  readonly kind: string
  readonly status: OperationStatus | ''
  readonly source: string
}

const PAGE = 100

const toFilter = ({ kind, status, source }: ListFilter): OperationFilter => ({
  limit: PAGE,
  ...(kind === '' ? {} : { kind }),
  ...(status === '' ? {} : { status }),
  ...(source === '' ? {} : { source }),
})

const belongs = (operation: OperationWire, { kind, status, source }: ListFilter): boolean =>
  (kind === '' || operation.kind === kind) &&
  (status === '' || operation.status === status) &&
  (source === '' || operation.sourceId === source)

interface Older {
  readonly key: string
  readonly items: readonly OperationWire[]
  /** `undefined` until an older page was read. */
  readonly cursor: string | null | undefined
}

/** The operations of a filter, newest first: the first page stays live, older ones come on demand. */
export function useOperationList(filter: ListFilter) {
  const holdfast = useHoldfast()
  const key = `operations:${filter.kind}:${filter.status}:${filter.source}`
  const first = useRecord<PageWire<OperationWire>>(
    key,
    (client, signal) => client.operations.list({ ...toFilter(filter), signal }),
    ['operation'],
  )
  const [stored, setOlder] = useState<Older>({ key, items: [], cursor: undefined })
  const older = stored.key === key ? stored : { key, items: [], cursor: undefined }
  const reading = useRef(false)
  const cursor = older.cursor === undefined ? first.data?.nextCursor : older.cursor
  const live = useLive((snapshot) => snapshot.operations)

  const readOlder = useCallback(async () => {
    if (reading.current || !cursor) return
    reading.current = true
    try {
      const page = await holdfast.operations.list({ ...toFilter(filter), cursor })
      setOlder({ key, items: [...older.items, ...page.items], cursor: page.nextCursor })
    } catch (error) {
      sayProblem(error)
    } finally {
      reading.current = false
    }
  }, [cursor, filter, holdfast, key, older.items])

  const items = useMemo(() => {
    const known = new Map<string, OperationWire>()
    for (const operation of [...(first.data?.items ?? []), ...older.items, ...live.values()]) {
      known.set(operation.id, live.get(operation.id) ?? operation)
    }
    return [...known.values()]
      .filter((operation) => belongs(operation, filter))
      .sort((left, right) => (left.id < right.id ? 1 : -1))
  }, [first.data, older.items, live, filter])

  return { items, isRead: first.data !== undefined, problem: first.problem, readOlder }
}
