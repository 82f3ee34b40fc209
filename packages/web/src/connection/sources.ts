import type { Holdfast, SourceWire } from '@holdfast/sdk'
import { useMemo } from 'react'
import { useRecord } from './connection.tsx'
import type { Seen } from './records.ts'

const PAGE = 200

export async function readSources(holdfast: Holdfast, signal: AbortSignal): Promise<SourceWire[]> {
  const sources: SourceWire[] = []
  for await (const source of holdfast.sources.all({ limit: PAGE, signal })) sources.push(source)
  return sources
}

export const useSources = (): Seen<SourceWire[]> => useRecord('sources', readSources, ['source'])

export type NameOf = (sourceId: string | null) => string

/** Names sources; an id that is not known any more is shown short. */
export function useSourceNames(): NameOf {
  const { data } = useSources()
  return useMemo(() => {
    const names = new Map(data?.map((source) => [source.id, source.name]))
    return (id) => (id === null ? '' : (names.get(id) ?? (data ? id.slice(0, 8) : '…')))
  }, [data])
}

export const sourcePath = (source: SourceWire): string => {
  const path = source.config['path'] ?? source.config['from']
  return typeof path === 'string' ? path : source.kind
}
