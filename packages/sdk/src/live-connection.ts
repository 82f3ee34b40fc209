import { toHoldfastError } from './errors.ts'
import type { LiveMessage, LiveRequest, LiveSubject } from './wire/live.ts'

/** The part of the standard WebSocket that is used; the `ws` package has it too. */
export interface WebSocketLike {
  readonly readyState: number
  onopen: ((event: never) => void) | null
  onmessage: ((event: never) => void) | null
  onclose: ((event: never) => void) | null
  onerror: ((event: never) => void) | null
  send(data: string): void
  close(code?: number, reason?: string): void
}

export type WebSocketConstructor = new (url: string) => WebSocketLike

export interface Subscription {
  readonly subjects: readonly LiveSubject[]
  /** The last sequence that was seen, to be told what was missed. */
  readonly since: number | null
}

export interface ConnectionEvents {
  onMessage(message: LiveMessage): void
  /** Something came that is no message: a comment that keeps the stream alive. */
  onSign(): void
  /** Told once, also when it never opened. `null`: it just ended. */
  onEnd(error: Error | null): void
}

/** One way to the feed. Nothing is told after `close`. */
export interface LiveConnection {
  readonly way: 'websocket' | 'events'
  /** Whether it can take up other subjects; else it must be opened anew. */
  subscribe(subscription: Subscription): boolean
  ping(): void
  close(): void
}

const OPEN = 1

export interface OpenOptions {
  /** Of the server, such as `http://127.0.0.1:8080`. */
  readonly url: string
  readonly token: string | null
  readonly subscription: Subscription
}

const toRequest = ({ subjects, since }: Subscription): LiveRequest => ({
  type: 'subscribe',
  subscribe: [...subjects],
  ...(since === null ? {} : { since }),
})

export function openWebSocket(
  Socket: WebSocketConstructor,
  options: OpenOptions,
  events: ConnectionEvents,
): LiveConnection {
  let ended = false
  const end = (error: Error | null) => {
    if (ended) return
    ended = true
    events.onEnd(error)
  }
  const socket = new Socket(`${options.url.replace(/^http/, 'ws')}/api/v1/live`)
  const send = (request: LiveRequest) => {
    if (socket.readyState === OPEN) socket.send(JSON.stringify(request))
  }
  socket.onopen = () => {
    // In a message and not in the address: addresses end up in logs.
    if (options.token !== null) send({ type: 'auth', token: options.token })
    send(toRequest(options.subscription))
  }
  socket.onmessage = (event: { data: unknown }) => {
    if (!ended && typeof event.data === 'string') deliver(event.data, events)
  }
  socket.onerror = () => {
    // Says nothing that the close after it does not.
  }
  socket.onclose = (event: { code: number; reason: string }) => {
    end(event.code === 1000 ? null : new Error(`socket closed: ${event.code} ${event.reason}`))
  }
  return {
    way: 'websocket',
    subscribe: (subscription) => {
      if (socket.readyState === OPEN) send(toRequest(subscription))
      // Before it is open the first subscription would go out, which is the old one.
      return socket.readyState === OPEN
    },
    ping: () => send({ type: 'ping' }),
    close: () => {
      ended = true
      socket.close(1000)
    },
  }
}

/** Server-Sent Events, read through `fetch`: unlike `EventSource` it can send a token. */
export function openEventStream(
  fetchIt: typeof fetch,
  options: OpenOptions,
  events: ConnectionEvents,
): LiveConnection {
  const abort = new AbortController()
  readEventStream(fetchIt, options, { ...events, signal: abort.signal }).then(
    () => {
      if (!abort.signal.aborted) events.onEnd(null)
    },
    (error: unknown) => {
      if (abort.signal.aborted) return
      events.onEnd(error instanceof Error ? error : new Error('stream failed', { cause: error }))
    },
  )
  return {
    way: 'events',
    subscribe: () => false,
    ping: () => {
      // A stream has one direction; the server keeps it alive by comments.
    },
    close: () => abort.abort(),
  }
}

async function readEventStream(
  fetchIt: typeof fetch,
  { url, token, subscription }: OpenOptions,
  events: ConnectionEvents & { readonly signal: AbortSignal },
): Promise<void> {
  const address = new URL(`${url}/api/v1/live/events`)
  address.searchParams.set('subscribe', subscription.subjects.join(','))
  if (subscription.since !== null) address.searchParams.set('since', String(subscription.since))
  const response = await fetchIt(address.href, {
    headers: {
      accept: 'text/event-stream',
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
    },
    signal: events.signal,
  })
  if (!response.ok || response.body === null) {
    const body: unknown = await response.json().catch(() => null)
    throw toHoldfastError(response.status, body, response.headers.get('x-request-id'))
  }
  const parser = new EventStreamParser()
  const decoder = new TextDecoder()
  const reader = response.body.getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done || events.signal.aborted) return
    events.onSign()
    for (const data of parser.push(decoder.decode(value, { stream: true }))) deliver(data, events)
  }
}

/** The `data` of each event of a stream that comes in pieces (WHATWG HTML, "Parsing an event stream"). */
export class EventStreamParser {
  #rest = ''
  #data: string[] = []

  push(text: string): string[] {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    const found: string[] = []
    for (const raw of lines) {
      const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw
      if (line.startsWith('data:')) this.#data.push(line.slice(line[5] === ' ' ? 6 : 5))
      if (line === '' && this.#data.length > 0) {
        found.push(this.#data.join('\n'))
        this.#data = []
      }
    }
    return found
  }
}

/** A message that cannot be read is passed over: a newer server may say more than we know. */
function deliver(data: string, events: ConnectionEvents): void {
  let message: LiveMessage
  try {
    message = JSON.parse(data)
  } catch {
    events.onSign()
    return
  }
  events.onMessage(message)
}
