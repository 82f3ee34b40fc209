import {
  Holdfast,
  type LiveSnapshot,
  type LiveStore,
  type OperationWire,
  type Topic,
} from '@holdfast/sdk'
import {
  createContext,
  type ReactNode,
  useContext,
  useEffect,
  useMemo,
  useRef,
  useSyncExternalStore,
} from 'react'
import { Records, type Seen } from './records.ts'
import { forgetToken, readToken } from './session.ts'

export interface Connection {
  readonly holdfast: Holdfast
  /** One live connection for the whole page. */
  readonly live: LiveStore
  readonly records: Records
}

/** A fetch that notices when the server no longer knows who we are. */
const watchfulFetch: typeof fetch = async (input, init) => {
  const response = await fetch(input, init)
  if (response.status === 401 && readToken() !== null) forgetToken()
  return response
}

export function openConnection(token: string | null): Connection {
  const holdfast = new Holdfast({ token: () => token, fetch: watchfulFetch })
  const live = holdfast.liveStore()
  return { holdfast, live, records: new Records(live) }
}

const Context = createContext<Connection | null>(null)

export function ConnectionProvider({ token, children }: { token: string; children: ReactNode }) {
  const connection = useMemo(() => openConnection(token), [token])
  useEffect(() => () => connection.live.close(), [connection])
  return <Context value={connection}>{children}</Context>
}

export function useConnection(): Connection {
  const connection = useContext(Context)
  if (connection === null) throw new Error('there is no connection around this component')
  return connection
}

export const useHoldfast = (): Holdfast => useConnection().holdfast

/** A part of what is live. `pick` must answer the same thing while nothing changed. */
export function useLive<T>(pick: (snapshot: LiveSnapshot) => T): T {
  const { live } = useConnection()
  return useSyncExternalStore(live.subscribe, () => pick(live.getSnapshot()))
}

/** A record of the server, read again whenever one of the watched topics changes. */
export function useRecord<T>(
  key: string,
  load: (holdfast: Holdfast, signal: AbortSignal) => Promise<T>,
  watch: readonly Topic[] = [],
): Seen<T> & { reload: () => void } {
  const { records, holdfast } = useConnection()
  const reader = records.reader<T>(key, (signal) => load(holdfast, signal), watch)
  const seen = useSyncExternalStore(reader.subscribe, reader.getSnapshot)
  return { ...seen, reload: reader.reload }
}

const later = (left: OperationWire | undefined, right: OperationWire | undefined) => {
  if (left === undefined || right === undefined) return left ?? right
  return Date.parse(right.updatedAt) > Date.parse(left.updatedAt) ? right : left
}

/** One operation as it is now, also when it was not among the live ones. */
export function useOperation(id: string): Seen<OperationWire> {
  const live = useLive((snapshot) => snapshot.operations.get(id))
  const read = useRecord(`operation:${id}`, (holdfast, signal) =>
    holdfast.operations.get(id, { signal }),
  )
  // An ended operation may be dropped from the live ones: what was seen stays.
  const last = useRef<OperationWire | undefined>(undefined)
  if (last.current?.id !== id) last.current = undefined
  last.current = later(live, later(read.data, last.current))
  return { data: last.current, problem: read.problem }
}
