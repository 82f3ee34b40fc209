import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { TEST_SERVER } from '../../../test/support/control-face.ts'
import { ADMIN_TOKEN, openRig, type Rig } from '../../../test/support/control-rig.ts'
import type { Operation } from '../../core/operation.ts'
import { Gate } from '../auth.ts'
import { type RunningServer, startServer } from '../server.ts'
import { Upgrades } from '../upgrades.ts'
import { LiveSocket } from './live.ts'
import { LiveEncoder, toTextFrame } from './live-messages.ts'
import { LivePlaces } from './live-places.ts'

/** A message as a reader sees it; what a test does not look for is left out. */
interface Message {
  readonly type: string
  readonly sequence: number
  readonly event: { readonly type: string; readonly topicId: string; readonly topic: string }
  readonly operation: { readonly id: string; readonly status: string } | null
  readonly operations: readonly { readonly id: string; readonly status: string }[]
  readonly operationId: string
  readonly progress: { readonly bytesDone: number }
  readonly code: string
  readonly message: string
}

let rig: Rig
let server: RunningServer
let anna: string

before(async () => {
  rig = await openRig()
  rig.engine.isFree = false
  server = await startServer({ ...TEST_SERVER, webFolder: rig.folder, services: rig.services })
  anna = await rig.token('anna')
})

after(async () => {
  await server.close()
  await rig.close()
})

/** A reader over a real socket. */
class Reader {
  readonly socket: WebSocket
  readonly messages: Message[] = []
  readonly #closed: Promise<unknown[]>

  constructor(query = '', url = `${server.url.replace('http', 'ws')}/api/v1/live`) {
    this.socket = new WebSocket(url + query)
    this.socket.on('message', (data) => this.messages.push(JSON.parse(String(data))))
    this.#closed = once(this.socket, 'close')
  }

  static async open(token: string, subscribe: readonly string[], since?: number): Promise<Reader> {
    const reader = new Reader()
    await once(reader.socket, 'open')
    reader.say({ type: 'auth', token })
    reader.say({ subscribe, ...(since === undefined ? {} : { since }) })
    return reader
  }

  say(message: object): void {
    this.socket.send(JSON.stringify(message))
  }

  async until(wanted: (message: Message) => boolean): Promise<Message> {
    for (;;) {
      const found = this.messages.find(wanted)
      if (found !== undefined) return found
      await once(this.socket, 'message', { signal: AbortSignal.timeout(10_000) })
    }
  }

  async closeCode(): Promise<number> {
    return (await this.#closed)[0] as number
  }
}

const callerOf = async (token: string) => rig.services.auth.identify(token)

const begin = async (token: string): Promise<Operation> => {
  const caller = await callerOf(token)
  const config = { path: rig.sourceFolder }
  const source = await rig.services.sources.create(caller, { kind: 'directory', name: 'x', config })
  return rig.services.jobs.submit(caller, { kind: 'backup', sourceId: source.id })
}

const running = async (operationId: string) => {
  for (;;) {
    const context = rig.engine.contexts.get(operationId)
    if (context !== undefined) return context
    await sleep(5)
  }
}

const reportOf = (bytesDone: number) => ({
  phase: 'archiving',
  bytesDone,
  bytesTotal: 20_000,
  itemsDone: 0,
  itemsTotal: null,
  currentItem: 'x'.repeat(2000),
})

test('tells a reader the life of an operation, from its start to its one end', async () => {
  const reader = await Reader.open(anna, ['operations'])
  await reader.until(({ type }) => type === 'snapshot')
  const operation = await begin(anna)
  const context = await running(operation.id)
  context.report(reportOf(100))
  await reader.until(({ type, operationId }) => type === 'progress' && operationId === operation.id)
  rig.engine.finish(operation.id)
  const end = await reader.until(({ event }) => event?.type === 'completed')
  assert.equal(end.operation?.status, 'completed')
  const types = reader.messages.flatMap(({ event }) =>
    event?.topicId === operation.id ? [event.type] : [],
  )
  assert.deepEqual(
    types.filter((type) => type !== 'phase'),
    ['submitted', 'started', 'completed'],
  )
  reader.socket.close()
})

test('goes on where a reader left off, without a gap or a double', async () => {
  const first = await Reader.open(anna, ['operations', 'snapshots'], 0)
  const { sequence } = await first.until(({ type }) => type === 'snapshot')
  first.socket.close()
  const operation = await begin(anna)
  rig.engine.finish(operation.id)
  const caller = await callerOf(anna)
  await rig.services.jobs.waitForEnd(caller, operation.id, { timeoutMs: 10_000 })
  const second = await Reader.open(anna, ['operations', 'snapshots'], sequence)
  await second.until(({ type }) => type === 'snapshot')
  const sequences = [...first.messages, ...second.messages].flatMap(({ type, sequence }) =>
    type === 'event' ? [sequence] : [],
  )
  assert.deepEqual(
    sequences,
    [...new Set(sequences)].sort((a, b) => a - b),
  )
  assert.ok(second.messages.some(({ event }) => event?.topic === 'snapshot'))
  assert.ok(second.messages.some(({ event }) => event?.type === 'completed'))
  second.socket.close()
})

test('tells nobody of what is someone else’s, and administrators everything', async () => {
  const stranger = await Reader.open(await rig.token('bert'), ['operations'])
  await stranger.until(({ type }) => type === 'snapshot')
  const admin = await Reader.open(ADMIN_TOKEN, ['operations'])
  await admin.until(({ type }) => type === 'snapshot')
  const operation = await begin(anna)
  stranger.say({ subscribe: ['operations', `operation:${operation.id}`], since: 0 })
  ;(await running(operation.id)).report(reportOf(1))
  rig.engine.finish(operation.id)
  await admin.until(({ event }) => event?.type === 'completed')
  stranger.say({ type: 'ping' })
  await stranger.until(({ type }) => type === 'pong')
  assert.ok(!JSON.stringify(stranger.messages).includes(operation.id))
  stranger.socket.close()
  admin.socket.close()
})

test('takes a token from the header, the address and the first message, and no wrong one', async () => {
  const byQuery = new Reader(`?token=${anna}`)
  await once(byQuery.socket, 'open')
  byQuery.say({ subscribe: ['operations'] })
  await byQuery.until(({ type }) => type === 'snapshot')
  byQuery.socket.close()
  for (const query of ['?token=wrong', `?tk=${await rig.token('x', ['sources.read'])}`]) {
    const reader = new Reader(query)
    assert.equal(await reader.closeCode(), 4401)
    assert.equal(reader.messages[0]?.code, 'unauthenticated')
  }
  const early = new Reader()
  await once(early.socket, 'open')
  early.say({ subscribe: ['operations'] })
  assert.match((await early.until(({ type }) => type === 'error')).message, /sign in first/)
  early.socket.close()
})

test('says what it did not understand, and goes on', async () => {
  const reader = await Reader.open(anna, ['weather'])
  assert.match((await reader.until(({ type }) => type === 'error')).message, /"weather"/)
  for (const odd of ['no json', '[]', '{"subscribe":[]}', '{"since":-1,"subscribe":["pools"]}']) {
    reader.messages.length = 0
    reader.socket.send(odd)
    assert.equal((await reader.until(({ type }) => type === 'error')).code, 'invalid', odd)
  }
  reader.say({ subscribe: ['operations'] })
  await reader.until(({ type }) => type === 'snapshot')
  reader.socket.close()
})

test('a reader that stops reading slows nothing, costs little, and still hears of the end', async () => {
  const operation = await begin(anna)
  const context = await running(operation.id)
  const reader = await Reader.open(anna, ['operations'])
  await reader.until(({ type }) => type === 'snapshot')
  reader.socket.pause()
  const before = process.memoryUsage().arrayBuffers
  const began = performance.now()
  // Past the reporter, which would keep most of them back: the hub itself is flooded.
  const tell = (bytesDone: number) =>
    rig.services.jobs.room.progress.tell({
      operationId: operation.id,
      accountId: operation.accountId,
      sourceId: operation.sourceId,
      progress: { ...operation.progress, bytesDone, currentItem: 'x'.repeat(2000) },
    })
  for (let count = 1; count <= 10_000; count += 1) {
    tell(count)
    if (count % 500 === 0) await sleep(1)
  }
  const tookMs = performance.now() - began
  const heldBytes = process.memoryUsage().arrayBuffers - before
  assert.ok(tookMs < 2_000, `10,000 updates took ${tookMs} ms`)
  assert.ok(heldBytes < 16 * 1024 * 1024, `${heldBytes} bytes are held`)
  context.report(reportOf(19_000))
  rig.engine.finish(operation.id)
  const caller = await callerOf(anna)
  const { status } = await rig.services.jobs.waitForEnd(caller, operation.id, { timeoutMs: 10_000 })
  assert.equal(status, 'completed', 'the operation did not wait for the reader')
  reader.socket.resume()
  const end = await reader.until(({ event }) => event?.type === 'completed')
  assert.equal(end.operation?.id, operation.id)
  const seen = reader.messages.filter(({ type }) => type === 'progress')
  assert.ok(seen.length < 5_000, `${seen.length} of 10,000 were sent`)
  const figures = seen.map(({ progress }) => progress.bytesDone)
  assert.deepEqual(
    figures.slice(0, -1),
    [...figures.slice(0, -1)].sort((a, b) => a - b),
  )
  reader.socket.close()
})

test('a reader too far behind is sent away, and loses nothing by coming back', async () => {
  const reader = await Reader.open(anna, ['devices'])
  const { sequence } = await reader.until(({ type }) => type === 'snapshot')
  reader.socket.pause()
  for (let count = 0; count < 40; count += 1) {
    await rig.database.write(async (tx) => {
      for (let index = 0; index < 100; index += 1) {
        const about = { topic: 'device', topicId: 'd', accountId: 'anna', type: 'changed' } as const
        tx.append({ ...about, atMs: 1, data: { filler: 'x'.repeat(5_000) } })
      }
    })
  }
  reader.socket.resume()
  assert.equal(await reader.closeCode(), 4408)
  const seen = reader.messages.flatMap((each) => (each.type === 'event' ? [each.sequence] : []))
  const last = seen.at(-1) ?? sequence
  assert.ok(seen.length < 4_000)
  const second = await Reader.open(anna, ['devices'], last)
  await second.until(({ type }) => type === 'snapshot')
  const rest = second.messages.flatMap((each) => (each.type === 'event' ? [each.sequence] : []))
  assert.deepEqual(
    [...seen, ...rest],
    Array.from({ length: 4_000 }, (_, index) => sequence + 1 + index),
  )
  second.socket.close()
})

test('streams the same feed as Server-Sent Events, and resumes from Last-Event-ID', async () => {
  const read = async (headers: Record<string, string>) => {
    const abort = new AbortController()
    const response = await fetch(`${server.url}/api/v1/live/events?subscribe=operations`, {
      headers: { authorization: `Bearer ${anna}`, ...headers },
      signal: abort.signal,
    })
    assert.match(String(response.headers.get('content-type')), /^text\/event-stream/)
    let text = ''
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk as Uint8Array).toString()
      if (text.includes('"type":"snapshot"')) break
    }
    abort.abort()
    return text
  }
  const all = await read({ 'last-event-id': '0' })
  const ids = [...all.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id))
  assert.ok(ids.length > 5)
  const middle = ids[3] as number
  const rest = await read({ 'last-event-id': String(middle) })
  const restIds = [...rest.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id))
  assert.deepEqual(restIds, ids.slice(4))
  for (const [query, header] of [
    ['subscribe=weather', '0'],
    ['subscribe=operations', 'x'],
  ]) {
    const refused = await fetch(`${server.url}/api/v1/live/events?${query}`, {
      headers: { authorization: `Bearer ${anna}`, 'last-event-id': header as string },
    })
    assert.equal(refused.status, 400)
  }
})

/** A server of sockets alone, with times that a test can wait for. */
async function openSockets(times: {
  signInMs: number
  lookAgainMs: number
  beatMs: number
  feedsMax?: number
}) {
  const http: Server = createServer()
  const upgrades = new Upgrades({ intervalMs: times.beatMs })
  const { services } = rig
  const options = {
    services,
    gate: new Gate(services),
    encoder: new LiveEncoder(toTextFrame),
    feeds: new LivePlaces(times.feedsMax ?? 100),
    ...times,
  }
  const visitor = { address: '127.0.0.1', leaveDoor: () => undefined }
  upgrades.attach(http)
  upgrades.add({
    path: /^\/live$/,
    handle: (request, socket, head) =>
      upgrades.accept(request, socket, head, (webSocket) =>
        new LiveSocket(webSocket, options, visitor).start(null),
      ),
  })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  const { port } = http.address() as { port: number }
  return {
    url: `ws://127.0.0.1:${port}/live`,
    upgrades,
    close: async () => {
      await upgrades.close()
      http.close()
    },
  }
}

test('closes a socket that never says who it is, and one whose token was revoked', async () => {
  const sockets = await openSockets({ signInMs: 50, lookAgainMs: 50, beatMs: 10_000 })
  assert.equal(await new Reader('', sockets.url).closeCode(), 4401)
  const caller = await callerOf(anna)
  const request = { name: 'short', permissions: ['operations.read'], expiresAtMs: null }
  const { token, record } = await rig.services.auth.tokens.create(caller, request)
  const reader = new Reader('', sockets.url)
  await once(reader.socket, 'open')
  reader.say({ type: 'auth', token })
  reader.say({ subscribe: ['operations'] })
  await reader.until(({ type }) => type === 'snapshot')
  await sleep(120)
  assert.equal(reader.socket.readyState, WebSocket.OPEN)
  await rig.services.auth.tokens.revoke(caller, record.id)
  assert.equal(await reader.closeCode(), 4401)
  await sockets.close()
})

test('an account has so many feeds open at a time, and one that is closed makes room', async () => {
  const sockets = await openSockets({ signInMs: 500, lookAgainMs: 500, beatMs: 500, feedsMax: 1 })
  const open = async () => {
    const reader = new Reader('', sockets.url)
    await once(reader.socket, 'open')
    reader.say({ type: 'auth', token: anna })
    reader.say({ subscribe: ['operations'] })
    return reader
  }
  const first = await open()
  await first.until(({ type }) => type === 'snapshot')
  const second = await open()
  assert.equal(await second.closeCode(), 4429)
  assert.match(String(second.messages[0]?.message), /live feeds open/)
  first.socket.close()
  await first.closeCode()
  const third = await open()
  await third.until(({ type }) => type === 'snapshot')
  third.socket.close()
  await sockets.close()
})

test('ends a socket whose other side is gone without a word', async () => {
  const sockets = await openSockets({ signInMs: 10_000, lookAgainMs: 10_000, beatMs: 50 })
  const reader = new Reader('', sockets.url)
  await once(reader.socket, 'open')
  await sleep(200)
  assert.equal(sockets.upgrades.socketCount, 1, 'one that answers stays')
  reader.socket.pause()
  const end = performance.now() + 5_000
  while (sockets.upgrades.socketCount > 0 && performance.now() < end) await sleep(10)
  assert.equal(sockets.upgrades.socketCount, 0)
  reader.socket.terminate()
  await sockets.close()
})
