import assert from 'node:assert/strict'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
// biome-ignore lint/correctness/noUndeclaredDependencies: the server of these tests; the package itself depends on nothing
import { type WebSocket, WebSocketServer } from 'ws'
import { isAbout, LiveFeed, type LiveFeedOptions, type LiveState } from '../src/live.ts'
import { EventStreamParser } from '../src/live-connection.ts'
import type { LiveMessage, LiveRequest } from '../src/wire/live.ts'

/** A real server of the feed that says what the test says. */
class FeedServer {
  readonly requests: LiveRequest[] = []
  readonly streams: {
    query: URLSearchParams
    token: string | undefined
    response: ServerResponse
  }[] = []
  readonly sockets: WebSocket[] = []
  readonly http: Server
  onRequest: (request: LiveRequest, socket: WebSocket) => void = () => {
    // Silent until a test says otherwise.
  }
  #upgrades: WebSocketServer | null

  constructor(options: { webSockets: boolean }) {
    this.#upgrades = options.webSockets ? new WebSocketServer({ noServer: true }) : null
    this.http = createServer((request, response) => {
      const url = new URL(request.url ?? '', 'http://here')
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(': hello\n\n')
      const token = request.headers.authorization
      this.streams.push({ query: url.searchParams, token, response })
      response.write(`data: ${JSON.stringify(snapshot(1))}\n\n`)
    })
    this.http.on('upgrade', (request, socket, head) => {
      if (this.#upgrades === null) {
        socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
        return
      }
      this.#upgrades.handleUpgrade(request, socket, head, (webSocket) => {
        this.sockets.push(webSocket)
        webSocket.on('message', (data) => {
          const said = JSON.parse(String(data)) as LiveRequest
          this.requests.push(said)
          this.onRequest(said, webSocket)
        })
      })
    })
  }

  async start(context: TestContext): Promise<string> {
    await new Promise<void>((resolve) => this.http.listen(0, '127.0.0.1', resolve))
    context.after(() => {
      for (const socket of this.sockets) socket.terminate()
      this.http.closeAllConnections()
      this.http.close()
    })
    return `http://127.0.0.1:${(this.http.address() as AddressInfo).port}`
  }
}

const snapshot = (sequence: number): LiveMessage => ({ type: 'snapshot', sequence, operations: [] })

const event = (sequence: number, topicId = 'op-1'): LiveMessage => ({
  type: 'event',
  sequence,
  event: { sequence, topic: 'operation', topicId, type: 'started', at: '', data: {} },
  operation: null,
})

const tell = (socket: WebSocket, message: LiveMessage): void => socket.send(JSON.stringify(message))

/** Answers each subscription as the server does: with a snapshot. */
const greet = (request: LiveRequest, socket: WebSocket): void => {
  if ('subscribe' in request) tell(socket, snapshot(request.since ?? 10))
  if (request.type === 'ping') tell(socket, { type: 'pong' })
}

function startFeed(
  context: TestContext,
  url: string,
  options: Partial<LiveFeedOptions> = {},
): LiveFeed {
  const feed = new LiveFeed({
    url,
    token: async () => 'secret',
    reconnectFirstMs: 5,
    reconnectMaxMs: 20,
    lingerMs: 5,
    ...options,
  })
  context.after(() => feed.close())
  return feed
}

/** Settles with the first message that fits. */
function listen(feed: LiveFeed, subject: 'operations' | `operation:${string}`) {
  const seen: LiveMessage[] = []
  const waiting = new Set<() => void>()
  const leave = feed.subscribe([subject], (message) => {
    seen.push(message)
    for (const look of [...waiting]) look()
  })
  const until = (fits: (message: LiveMessage) => boolean, from = 0): Promise<LiveMessage> =>
    new Promise((resolve) => {
      const look = () => {
        const found = seen.slice(from).find(fits)
        if (found === undefined) return
        waiting.delete(look)
        resolve(found)
      }
      waiting.add(look)
      look()
    })
  return { seen, leave, until }
}

const untilState = (feed: LiveFeed, wanted: LiveState): Promise<void> =>
  new Promise((resolve) => {
    if (feed.state === wanted) return resolve()
    const leave = feed.onState((state) => {
      if (state !== wanted) return
      leave()
      resolve()
    })
  })

test('says its token first, then subscribes, and is live with the first message', async (t) => {
  const server = new FeedServer({ webSockets: true })
  server.onRequest = greet
  const feed = startFeed(t, await server.start(t))
  assert.equal(feed.state, 'connecting')
  const { until } = listen(feed, 'operations')
  await until((message) => message.type === 'snapshot')
  assert.equal(feed.state, 'live')
  assert.deepEqual(server.requests, [
    { type: 'auth', token: 'secret' },
    { type: 'subscribe', subscribe: ['operations'] },
  ])
})

test('all listeners share one connection, and each hears only what it asked for', async (t) => {
  const server = new FeedServer({ webSockets: true })
  server.onRequest = greet
  const feed = startFeed(t, await server.start(t))
  const one = listen(feed, 'operation:op-1')
  const two = listen(feed, 'operation:op-2')
  await two.until((message) => message.type === 'snapshot')
  const [socket] = server.sockets
  assert(socket !== undefined)
  tell(socket, event(11, 'op-1'))
  tell(socket, event(12, 'op-2'))
  await two.until((message) => message.type === 'event')
  assert.equal(server.sockets.length, 1)
  const heard = (seen: LiveMessage[]) =>
    seen.flatMap((message) => (message.type === 'event' ? [message.event.topicId] : []))
  assert.deepEqual(heard(one.seen), ['op-1'])
  assert.deepEqual(heard(two.seen), ['op-2'])
})

test('comes back after a loss and asks for what it missed', async (t) => {
  const server = new FeedServer({ webSockets: true })
  server.onRequest = greet
  const feed = startFeed(t, await server.start(t))
  const { until, seen } = listen(feed, 'operations')
  await until((message) => message.type === 'snapshot')
  const [socket] = server.sockets
  assert(socket !== undefined)
  tell(socket, event(17))
  await until((message) => message.type === 'event')
  const offline = untilState(feed, 'offline')
  socket.terminate()
  await offline
  await until((message) => message.type === 'snapshot', seen.length)
  assert.equal(feed.state, 'live')
  assert.deepEqual(server.requests.at(-1), {
    type: 'subscribe',
    subscribe: ['operations'],
    since: 17,
  })
})

test('a resync sets the sequence to what the server says, also back', async (t) => {
  const server = new FeedServer({ webSockets: true })
  server.onRequest = greet
  const feed = startFeed(t, await server.start(t))
  const { until, seen } = listen(feed, 'operations')
  await until((message) => message.type === 'snapshot')
  const [socket] = server.sockets
  assert(socket !== undefined)
  tell(socket, { type: 'resync', sequence: 3 })
  await until((message) => message.type === 'resync')
  socket.terminate()
  await until((message) => message.type === 'snapshot', seen.length)
  assert.equal((server.requests.at(-1) as { since?: number }).since, 3)
})

test('takes Server-Sent Events at once where WebSockets are refused', async (t) => {
  const server = new FeedServer({ webSockets: false })
  const feed = startFeed(t, await server.start(t))
  const { until } = listen(feed, 'operations')
  await until((message) => message.type === 'snapshot')
  assert.equal(feed.state, 'live')
  assert.equal(feed.way, 'events')
  const [stream] = server.streams
  assert(stream !== undefined)
  assert.equal(stream.query.get('subscribe'), 'operations')
  assert.equal(stream.token, 'Bearer secret')
  stream.response.write(`id: 2\ndata: ${JSON.stringify(event(2))}\n\n`)
  await until((message) => message.type === 'event')
})

test('works without any WebSocket, as on Node 20', async (t) => {
  const server = new FeedServer({ webSockets: true })
  const feed = startFeed(t, await server.start(t), { webSocket: null })
  await listen(feed, 'operations').until((message) => message.type === 'snapshot')
  assert.equal(feed.way, 'events')
  assert.equal(server.sockets.length, 0)
})

test('takes Server-Sent Events where a WebSocket opens and nothing comes through', async (t) => {
  const server = new FeedServer({ webSockets: true })
  const feed = startFeed(t, await server.start(t), { openTimeoutMs: 30 })
  await listen(feed, 'operations').until((message) => message.type === 'snapshot')
  assert.equal(feed.way, 'events')
})

test('a silent connection is pinged, then given up and made anew', async (t) => {
  const server = new FeedServer({ webSockets: true })
  server.onRequest = (request, socket) => {
    if ('subscribe' in request) tell(socket, snapshot(1))
  }
  const feed = startFeed(t, await server.start(t), { heartbeatMs: 20 })
  const { until } = listen(feed, 'operations')
  await until((message) => message.type === 'snapshot')
  await untilState(feed, 'offline')
  assert(server.requests.some((request) => request.type === 'ping'))
  await untilState(feed, 'live')
  assert.equal(server.sockets.length >= 2, true)
})

test('is offline while the server is away, and says so once', async (t) => {
  const server = new FeedServer({ webSockets: true })
  const url = await server.start(t)
  await new Promise((resolve) => server.http.close(resolve))
  const feed = startFeed(t, url)
  const states: LiveState[] = []
  feed.onState((state) => states.push(state))
  listen(feed, 'operations')
  await untilState(feed, 'offline')
  assert.deepEqual(states, ['offline'])
})

test('a token that is refused is named, and not tried the other way', async (t) => {
  const server = new FeedServer({ webSockets: true })
  server.onRequest = (request, socket) => {
    if (request.type !== 'auth') return
    tell(socket, { type: 'error', code: 'unauthenticated', message: 'the token has expired' })
    socket.close(4401, 'unauthenticated')
  }
  const feed = startFeed(t, await server.start(t))
  listen(feed, 'operations')
  await untilState(feed, 'offline')
  assert.equal(feed.failure?.code, 'unauthenticated')
  assert.equal(server.streams.length, 0)
})

test('closes its connection a moment after the last listener left', async (t) => {
  const server = new FeedServer({ webSockets: true })
  server.onRequest = greet
  const feed = startFeed(t, await server.start(t))
  const { until, leave } = listen(feed, 'operations')
  await until((message) => message.type === 'snapshot')
  const [socket] = server.sockets
  assert(socket !== undefined)
  const closed = new Promise((resolve) => socket.once('close', resolve))
  leave()
  await closed
  assert.equal(feed.way, null)
})

test('an event of a source belongs to whoever asked for that source', () => {
  const message: LiveMessage = {
    type: 'progress',
    operationId: 'op-1',
    sourceId: 'source-1',
    progress: {} as never,
  }
  assert.equal(isAbout(message, ['source:source-1']), true)
  assert.equal(isAbout(message, ['source:source-2']), false)
  assert.equal(isAbout(message, ['snapshots']), false)
})

test('a stream that comes in pieces gives whole events', () => {
  const parser = new EventStreamParser()
  assert.deepEqual(parser.push(': comment\n\nda'), [])
  assert.deepEqual(parser.push('ta: {"a":1}\r\n'), [])
  assert.deepEqual(
    parser.push('\r\nid: 2\ndata: one\ndata: two\n\ndata:x\n\n'),
    ['{"a":1}', 'one\ntwo', 'x'].slice(0, 3),
  )
})
