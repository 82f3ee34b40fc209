import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { SignJWT } from 'jose'
import { WebSocket } from 'ws'
import { TEST_SERVER } from '../../../test/support/control-face.ts'
import { JWT_SECRET, openRig, type Rig } from '../../../test/support/control-rig.ts'
import type { Caller } from '../../core/account.ts'
import { AppError } from '../../core/errors.ts'
import { type RunningServer, startServer } from '../server.ts'
import { LivePlaces } from './live-places.ts'
import { watchCaller } from './live-watch.ts'

let rig: Rig
let server: RunningServer

before(async () => {
  rig = await openRig()
  server = await startServer({ ...TEST_SERVER, webFolder: rig.folder, services: rig.services })
})

after(async () => {
  await server.close()
  await rig.close()
})

const MIB = 1024 * 1024
const TEXT = 0x81
const PING = 0x89

/** A frame of a client (RFC 6455, section 5.2), its mask all zero. */
const frame = (opcode: number, payload: string): Buffer =>
  Buffer.concat([Buffer.from([opcode, 0x80 | payload.length, 0, 0, 0, 0]), Buffer.from(payload)])

/** A peer that has shaken hands, and from then on reads nothing. */
async function openDeaf(token: string | null): Promise<Socket> {
  const socket = connect(server.port, '127.0.0.1')
  socket.on('error', () => {
    // Being cut off is what is expected.
  })
  const head = [
    'GET /api/v1/live HTTP/1.1',
    'Host: 127.0.0.1',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ...(token === null ? [] : [`Authorization: Bearer ${token}`]),
  ]
  socket.write(`${head.join('\r\n')}\r\n\r\n`)
  const [answer] = await once(socket, 'data')
  assert.match(String(answer), /^HTTP\/1\.1 101 /)
  socket.pause()
  return socket
}

/** Sends as fast as it is let for that long; answers how long the server was deaf at most. */
async function flood(socket: Socket, frames: Buffer, forMs: number): Promise<number> {
  const end = performance.now() + forMs
  let isFull = false
  socket.on('drain', () => {
    isFull = false
  })
  let slowestMs = 0
  while (performance.now() < end) {
    for (let count = 0; count < 16 && !isFull && !socket.destroyed; count += 1) {
      isFull = !socket.write(frames)
    }
    const began = performance.now()
    await (await fetch(`${server.url}/healthz`)).text()
    slowestMs = Math.max(slowestMs, performance.now() - began)
  }
  return slowestMs
}

for (const [what, opcode, isSignedIn] of [
  ['messages of nobody', TEXT, false],
  ['messages of somebody', TEXT, true],
  ['pings', PING, false],
] as const) {
  test(`a flood of ${what} that reads no answer stalls nothing and fills no memory`, async () => {
    const socket = await openDeaf(isSignedIn ? await rig.token('flood') : null)
    const one = frame(opcode, 'x'.repeat(opcode === PING ? 100 : 1))
    const many = Buffer.concat(Array.from({ length: 8_000 }, () => one))
    const before = process.memoryUsage().rss
    const slowestMs = await flood(socket, many, 1_500)
    const grown = process.memoryUsage().rss - before
    socket.destroy()
    assert.ok(slowestMs < 500, `the server was deaf for ${slowestMs} ms`)
    assert.ok(grown < 150 * MIB, `it grew by ${grown / MIB} MiB`)
  })
}

test('a reader who talks and never says who he is is sent away', async () => {
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/api/v1/live`)
  const messages: string[] = []
  socket.on('message', (data) => messages.push(String(data)))
  await once(socket, 'open')
  const closed = once(socket, 'close')
  for (let count = 0; count < 20; count += 1) socket.send('{"type":"ping"}')
  assert.equal((await closed)[0], 4401)
  assert.match(String(messages.at(-1)), /too many messages before a token/)
  assert.ok(messages.length < 12, `${messages.length} were answered`)
})

test('a page that subscribes for each of its many parts is heard out', async () => {
  const url = `${server.url.replace('http', 'ws')}/api/v1/live?token=${await rig.token('anna')}`
  const socket = new WebSocket(url)
  let pongs = 0
  socket.on('message', (data) => {
    if (String(data).includes('pong')) pongs += 1
  })
  await once(socket, 'open')
  for (let count = 0; count < 200; count += 1) {
    socket.send('{"subscribe":["operations"]}')
    socket.send('{"type":"ping"}')
  }
  const end = performance.now() + 10_000
  while (pongs < 200 && performance.now() < end) await sleep(20)
  assert.equal(pongs, 200)
  socket.close()
})

test('six hundred sockets of one account are live at the same time', async () => {
  const token = await rig.token('crowd')
  const sockets = await Promise.all(
    Array.from({ length: 600 }, async () => {
      const socket = new WebSocket(`${server.url.replace('http', 'ws')}/api/v1/live`)
      await once(socket, 'open')
      return socket
    }),
  )
  await Promise.all(
    sockets.map(async (socket) => {
      socket.send(JSON.stringify({ type: 'auth', token }))
      socket.send('{"subscribe":["operations"]}')
      const [message] = await once(socket, 'message')
      assert.match(String(message), /"snapshot"/)
    }),
  )
  for (const socket of sockets) socket.terminate()
})

test('wrong tokens on the socket are limited by address, as they are elsewhere', async () => {
  const codes = new Set<unknown>()
  const tryOne = async (token: string) => {
    const url = `${server.url.replace('http', 'ws')}/api/v1/live?token=${token}`
    const socket = new WebSocket(url)
    const [code] = await once(socket, 'close')
    return code
  }
  const good = await rig.token('late', ['operations.read'])
  for (let count = 0; count < 40; count += 1) codes.add(await tryOne(`hf_wrong-${count}`))
  assert.deepEqual([...codes], [4401, 4429])
  assert.equal(await tryOne(good), 4429, 'the right one is not told from a wrong one')
  const answer = await fetch(`${server.url}/api/v1/whoami`, {
    headers: { authorization: `Bearer ${good}` },
  })
  assert.equal(answer.status, 429, 'the limit is the same everywhere')
})

test('places are counted by key, and a place is given back once', () => {
  const places = new LivePlaces(2)
  const [one, two] = [places.take('a'), places.take('a')]
  assert.ok(one !== null && two !== null)
  assert.equal(places.take('a'), null)
  assert.ok(places.take('b'))
  one()
  one()
  assert.ok(places.take('a'))
  assert.equal(places.take('a'), null)
})

/** Its own server: the limit of the wrong tokens above holds for the whole address. */
async function withServer(use: (url: string) => Promise<void>): Promise<void> {
  const own = await startServer({ ...TEST_SERVER, webFolder: rig.folder, services: rig.services })
  try {
    await use(own.url)
  } finally {
    await own.close()
  }
}

const openStream = (url: string, token: string, query: string, headers = {}) =>
  fetch(`${url}/api/v1/live/events?${query}`, {
    headers: { authorization: `Bearer ${token}`, ...headers },
  })

test('each topic of the feed needs the permission to read it', async () => {
  const few = await rig.token('few', ['operations.read', 'pools.read'])
  await withServer(async (url) => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/api/v1/live?token=${few}`)
    const messages: string[] = []
    socket.on('message', (data) => messages.push(String(data)))
    await once(socket, 'open')
    for (const subject of ['sources', 'snapshots', 'devices', 'source:x']) {
      const query = `subscribe=${subject}`
      assert.equal((await openStream(url, few, query)).status, 403, subject)
      messages.length = 0
      socket.send(JSON.stringify({ subscribe: ['operations', subject] }))
      while (messages.length === 0) await once(socket, 'message')
      assert.match(String(messages[0]), /"forbidden".*lacks (sources|snapshots|devices)\.read/)
    }
    messages.length = 0
    socket.send(JSON.stringify({ subscribe: ['operations', 'pools', 'operation:x'] }))
    while (messages.length === 0) await once(socket, 'message')
    assert.match(String(messages[0]), /"snapshot"/)
    socket.terminate()
  })
})

test('one source tells no topic that the token may not read', async () => {
  const some = await rig.token('some', ['operations.read', 'sources.read'])
  const all = await rig.token('some')
  await withServer(async (url) => {
    const seen = async (token: string) => {
      const socket = new WebSocket(`${url.replace('http', 'ws')}/api/v1/live?token=${token}`)
      const topics: string[] = []
      socket.on('message', (data) => {
        const { event } = JSON.parse(String(data)) as { event?: { topic: string } }
        if (event !== undefined) topics.push(event.topic)
      })
      await once(socket, 'open')
      socket.send(JSON.stringify({ subscribe: ['source:s1'], since: 0 }))
      socket.send('{"type":"ping"}')
      const end = performance.now() + 5_000
      while (!topics.includes('source') && performance.now() < end) await sleep(10)
      await sleep(50)
      socket.terminate()
      return new Set(topics)
    }
    await rig.database.write(async (tx) => {
      const about = { accountId: 'some', type: 'created', atMs: 1 } as const
      tx.append({ ...about, topic: 'snapshot', topicId: 'n1', data: { sourceId: 's1' } })
      tx.append({ ...about, topic: 'source', topicId: 's1', data: {} })
    })
    assert.deepEqual(await seen(some), new Set(['source']))
    assert.deepEqual(await seen(all), new Set(['snapshot', 'source']))
  })
})

test('a feed ends when its token does, as a socket and as a stream', async () => {
  const brief = (forMs: number) =>
    new SignJWT({ permissions: ['*'], exp: (Date.now() + forMs) / 1000 })
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject('brief')
      .sign(new TextEncoder().encode(JWT_SECRET))
  await withServer(async (url) => {
    const began = performance.now()
    const stream = await openStream(url, await brief(500), 'subscribe=operations')
    assert.equal(stream.status, 200)
    const socket = new WebSocket(
      `${url.replace('http', 'ws')}/api/v1/live?token=${await brief(500)}`,
    )
    const [[code]] = await Promise.all([once(socket, 'close'), stream.text()])
    assert.equal(code, 4401)
    const tookMs = performance.now() - began
    assert.ok(tookMs > 300 && tookMs < 3_000, `they ended after ${tookMs} ms`)
  })
})

test('a token that was revoked is noticed at the next look, and a failure to look is told', async () => {
  const caller: Caller = {
    ...{ accountId: 'anna', name: 'Anna', permissions: ['*'] },
    ...{ tokenId: 't1', expiresAtMs: null },
  }
  for (const error of [new AppError('unauthenticated', 'revoked'), new Error('no database')]) {
    const told = Promise.withResolvers<unknown>()
    let looks = 0
    watchCaller({
      caller,
      identify: async () => {
        looks += 1
        if (looks === 1) return caller
        // Says nothing of this token.
        if (looks === 2) throw new AppError('rate_limited', 'too many requests')
        throw error
      },
      clock: rig.services.clock,
      lookAgainMs: 5,
      ended: told.resolve,
    })
    assert.equal(await told.promise, error)
    assert.equal(looks, 3)
  }
})

test('a stream that comes back goes on after the last event it saw, whatever its address says', async () => {
  const token = await rig.token('resumed')
  await rig.database.write(async (tx) => {
    for (const topicId of ['d1', 'd2', 'd3']) {
      const about = { accountId: 'resumed', type: 'created', atMs: 1, data: {} } as const
      tx.append({ ...about, topic: 'device', topicId })
    }
  })
  await withServer(async (url) => {
    const read = async (headers: Record<string, string>) => {
      const response = await openStream(url, token, 'subscribe=devices&since=0', headers)
      let text = ''
      for await (const chunk of response.body ?? []) {
        text += Buffer.from(chunk as Uint8Array).toString()
        if (text.includes('"type":"snapshot"')) break
      }
      return [...text.matchAll(/^id: (\d+)\ndata: {"type":"event"/gm)].map(([, id]) => Number(id))
    }
    const ids = await read({})
    assert.equal(ids.length, 3)
    assert.deepEqual(await read({ 'last-event-id': String(ids[1]) }), ids.slice(2))
  })
})
