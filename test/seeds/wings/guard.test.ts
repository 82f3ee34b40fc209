import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { SignJWT } from 'jose'
import { WebSocket } from 'ws'
import { type Holdfast, JWT_SECRET, startHoldfast } from '../../support/holdfast.ts'
import { createDirectorySource, waitForEnd } from '../../support/operations.ts'
import { panelToken, WingsClient } from './socket.ts'

// contract 000, A2, A3 and A5: who is let in, for how long, and what is written down about it.

const USER = 'aaaaaaaa-2222-4333-8444-555555555555'

let folder: string
let server: Holdfast
let serverId: string
let otherId: string

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-wings-guard-'))
  for (const name of ['server', 'other']) {
    await mkdir(join(folder, name))
    await writeFile(join(folder, name, 'world.txt'), 'hello')
  }
  // A proxy says who calls: so that one test can be many addresses.
  server = await startHoldfast({ env: { HOLDFAST_BEHIND_PROXY: '1' } })
  serverId = await createDirectorySource(server, join(folder, 'server'))
  otherId = await createDirectorySource(server, join(folder, 'other'))
})

after(async () => {
  await server.stop()
  await rm(folder, { recursive: true, force: true })
  await rm(server.dataFolder, { recursive: true, force: true })
})

const post = (path: string, body: unknown) => server.call('POST', path, body)

async function signedIn(id: string, token: string): Promise<WingsClient> {
  const client = await WingsClient.open(server, id)
  await client.signIn(token)
  assert.equal(client.named('auth success').length, 1)
  return client
}

async function finishedBackup(input: Record<string, unknown> = {}): Promise<string> {
  const uuid = randomUUID()
  const answer = await post(`/api/servers/${serverId}/backup`, { adapter: 'wings', uuid, ...input })
  assert.equal(answer.status, 202)
  const ended = await waitForEnd(server, uuid)
  assert.equal(ended.status, 'completed', JSON.stringify(ended.error))
  return uuid
}

async function audited(action: string, topicId: string): Promise<Record<string, unknown>[]> {
  const { body } = await server.call('GET', `/api/v1/audit?topicId=${topicId}`)
  const items = body['items'] as Record<string, unknown>[]
  return items.filter((item) => item['action'] === action)
}

/** Opens a socket from an address of its own, and answers the refusal. */
async function refusalOf(id: string, address: string) {
  const url = `${server.url.replace('http', 'ws')}/api/servers/${id}/ws`
  const socket = new WebSocket(url, { headers: { 'x-forwarded-for': address } })
  socket.on('error', () => undefined)
  const [, response] = await once(socket, 'unexpected-response')
  let text = ''
  for await (const chunk of response) text += String(chunk)
  return { status: response.statusCode, headers: response.headers, text }
}

async function openFrom(id: string, address: string): Promise<WebSocket> {
  const url = `${server.url.replace('http', 'ws')}/api/servers/${id}/ws`
  const socket = new WebSocket(url, { headers: { 'x-forwarded-for': address } })
  await once(socket, 'open')
  return socket
}

suite('a token of ours', () => {
  test('ends with its JWT: told once, and nothing after it', async () => {
    const token = await new SignJWT({ permissions: ['admin'] })
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject('admin')
      .setExpirationTime(Math.floor(Date.now() / 1000) + 2)
      .sign(new TextEncoder().encode(JWT_SECRET))
    const client = await signedIn(serverId, token)
    await client.until(({ event }) => event === 'token expired', 10_000)
    const uuid = randomUUID()
    await post(`/api/servers/${serverId}/backup`, { adapter: 'wings', uuid })
    await waitForEnd(server, uuid)
    client.send('send stats')
    await client.until(({ event }) => event === 'jwt error')
    assert.deepEqual(client.named('backup progress'), [])
    assert.equal(client.named('token expired').length, 1)
    client.close()
  })
})

suite('a denial', () => {
  test('of a token is about one server, holds for what was issued by then, and is audited', async () => {
    const jti = randomUUID()
    const here = await signedIn(serverId, await panelToken(serverId, { jti }))
    const there = await signedIn(otherId, await panelToken(otherId, { jti }))
    const answer = await post(`/api/servers/${serverId}/ws/deny`, { jtis: [jti] })
    assert.equal(answer.status, 204)
    await here.until(({ event }) => event === 'jwt error')
    there.send('send stats')
    await there.until(() => there.named('stats').length === 2)
    assert.deepEqual(there.named('jwt error'), [])
    const again = await WingsClient.open(server, otherId)
    await again.signIn(await panelToken(otherId, { jti }))
    assert.equal(again.named('auth success').length, 1, 'on the other server it is good')
    assert.equal((await audited('wings.deny', serverId)).length, 1)
    assert.equal((await audited('wings.deny', otherId)).length, 0)
    for (const client of [here, there, again]) client.close()
  })

  test('of a user knows his id and the server in upper case, and closes his downloads', async () => {
    const uuid = await finishedBackup()
    const token = await panelToken(serverId, { userId: USER.toUpperCase(), jti: 'of-user' })
    const client = await signedIn(serverId, token)
    const link = await new SignJWT({
      server_uuid: serverId,
      backup_uuid: uuid,
      unique_id: randomUUID(),
      user_uuid: USER,
    })
      .setProtectedHeader({ alg: 'HS256' })
      .setIssuedAt()
      .setExpirationTime('15m')
      .sign(new TextEncoder().encode(JWT_SECRET))
    const url = new URL(`/download/backup?token=${link}`, server.url)
    assert.equal((await fetch(url, { method: 'HEAD' })).status, 200)
    const answer = await post('/api/deauthorize-user', {
      user: USER.toUpperCase(),
      servers: [randomUUID(), serverId.toUpperCase()],
    })
    assert.equal(answer.status, 204)
    await client.until(({ event }) => event === 'jwt error')
    assert.equal((await fetch(url)).status, 404)
    const [line] = await audited('wings.deauthorize', serverId)
    assert.deepEqual(line?.['data'], { user: USER })
    client.close()
  })
})

suite('the audit trail', () => {
  test('has what was made, cancelled and removed through this face', async () => {
    const uuid = await finishedBackup()
    const { body } = await server.call('GET', `/api/v1/operations/${uuid}`)
    assert.equal((await audited('operation.submit', uuid)).length, 1)
    const answer = await server.call('DELETE', `/api/servers/${serverId}/deleteAllBackups`)
    assert.equal(answer.status, 204)
    assert.equal((await audited('snapshot.remove', String(body['snapshotId']))).length, 1)
  })
})

suite('a download link', () => {
  test('is not spent by HEAD', async () => {
    const uuid = await finishedBackup()
    const link = await new SignJWT({
      server_uuid: serverId,
      backup_uuid: uuid,
      unique_id: randomUUID(),
    })
      .setProtectedHeader({ alg: 'HS256' })
      .setIssuedAt()
      .setExpirationTime('15m')
      .sign(new TextEncoder().encode(JWT_SECRET))
    const url = new URL(`/download/backup?token=${link}`, server.url)
    const head = await fetch(url, { method: 'HEAD' })
    assert.equal(head.status, 200)
    const full = await fetch(url)
    assert.equal(full.status, 200)
    const bytes = await full.arrayBuffer()
    assert.equal(head.headers.get('content-length'), String(bytes.byteLength))
    assert.equal((await fetch(url, { method: 'HEAD' })).status, 404, 'spent')
  })
})

suite('strangers', () => {
  test('from one address fill their own places, are closed with 4401, and keep nobody out', async () => {
    const address = '198.51.100.1'
    const strangers = await Promise.all(
      Array.from({ length: 60 }, () => openFrom(serverId, address)),
    )
    const refusal = await refusalOf(serverId, address)
    assert.equal(refusal.status, 400)
    assert.equal(refusal.text, '{"error":"Too many open websocket connections."}')
    assert.match(String(refusal.headers['x-request-id']), /^[\w-]{36}$/)
    const client = await signedIn(serverId, await panelToken(serverId))
    const [first] = strangers
    assert.ok(first)
    const [code] = await once(first, 'close')
    assert.equal(code, 4401)
    for (const socket of strangers) socket.terminate()
    client.close()
  })

  test('get a request id with every refusal', async () => {
    const refusal = await refusalOf(randomUUID(), '198.51.100.2')
    assert.equal(refusal.status, 404)
    assert.match(String(refusal.headers['x-request-id']), /^[\w-]{36}$/)
  })

  test('who guess tokens meet 429 in the words of the dialect, alone', async () => {
    const path = `/api/servers/${serverId}/backup/operations`
    const guess = (address: string) =>
      server.call('GET', path, undefined, {
        authorization: `Bearer ${randomUUID()}`,
        'x-forwarded-for': address,
      })
    const answers = []
    for (let index = 0; index < 40; index += 1) answers.push(await guess('198.51.100.3'))
    const last = answers.at(-1)
    assert.equal(answers[0]?.status, 403)
    assert.equal(last?.status, 429)
    assert.deepEqual(Object.keys(last?.body ?? {}), ['error'])
    assert.ok(Number(last?.headers.get('retry-after')) >= 1)
    assert.equal((await guess('198.51.100.4')).status, 403)
    // What was guessed at the REST API counts on sockets, too.
    const socket = await openFrom(serverId, '198.51.100.3')
    const closed = once(socket, 'close')
    socket.send(JSON.stringify({ event: 'auth', args: [await panelToken(otherId)] }))
    assert.equal((await closed)[0], 4429)
  })

  test('who guess tokens on a socket are sent away, and their address waits', async () => {
    const address = '198.51.100.5'
    const codes: number[] = []
    for (let index = 0; index < 40 && codes.at(-1) !== 4429; index += 1) {
      const socket = await openFrom(serverId, address)
      socket.send(JSON.stringify({ event: 'auth', args: ['hf_wrong'] }))
      const isClosed = await Promise.race([
        once(socket, 'close').then(([code]) => Number(code)),
        once(socket, 'message').then(() => 0),
      ])
      // The sentence comes before the close.
      codes.push(isClosed === 0 ? await closeCodeSoon(socket) : isClosed)
      socket.terminate()
    }
    assert.equal(codes.at(-1), 4429, codes.join())
    assert.ok(codes.length > 10)
  })
})

async function closeCodeSoon(socket: WebSocket): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>()
  const timer = setTimeout(() => resolve(0), 100)
  socket.once('close', resolve)
  const code = await promise
  clearTimeout(timer)
  return code
}

suite('a backup with checksum_type sha1', () => {
  test('is reported with the SHA-1 of the archive that it left', async () => {
    const client = await signedIn(serverId, await panelToken(serverId))
    const uuid = await finishedBackup({ checksum_type: 'sha1' })
    const completed = await client.until(({ event }) => event === 'backup completed')
    const payload = (completed.args?.[0] ?? {}) as Record<string, unknown>
    assert.equal(payload['uuid'], uuid)
    assert.equal(payload['checksum_type'], 'sha1')
    const { body } = await server.call('GET', `/api/v1/operations/${uuid}`)
    const path = `/api/v1/snapshots/${String(body['snapshotId'])}/download`
    const archive = await fetch(new URL(path, server.url), {
      headers: { authorization: `Bearer ${server.adminToken}` },
    })
    const bytes = Buffer.from(await archive.arrayBuffer())
    assert.equal(payload['checksum'], createHash('sha1').update(bytes).digest('hex'))
    client.close()
  })
})
