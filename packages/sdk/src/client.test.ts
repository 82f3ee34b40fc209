import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { Holdfast } from './client.ts'
import { HoldfastError } from './errors.ts'

type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void

/** A real HTTP server that does what the test says; gone when the test is over. */
async function startServer(context: TestContext, handle: Handler): Promise<string> {
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => handle(request, response, body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  context.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}

const quick = { retryFirstMs: 1, retryDelayMaxMs: 5 }

const operation = { id: 'op-1', kind: 'backup', status: 'running', progress: { bytesDone: 1 } }

test('a submission that lost its connection is sent again with the same key', async (t) => {
  const keys: (string | undefined)[] = []
  const url = await startServer(t, (request, response) => {
    keys.push(request.headers['idempotency-key'] as string | undefined)
    if (keys.length < 3) request.socket.destroy()
    else answer(response, 202, operation)
  })
  const holdfast = new Holdfast({ url, token: 't', ...quick })
  const submitted = await holdfast.operations.submit({ kind: 'backup', sourceId: 's' })
  assert.equal(submitted.id, 'op-1')
  assert.equal(keys.length, 3)
  assert.match(keys[0] ?? '', /^[0-9a-f]{32}$/)
  assert.equal(new Set(keys).size, 1)
})

test('two submissions have two keys', async (t) => {
  const keys = new Set<unknown>()
  const url = await startServer(t, (request, response) => {
    keys.add(request.headers['idempotency-key'])
    answer(response, 202, operation)
  })
  const holdfast = new Holdfast({ url })
  await holdfast.operations.submit({ kind: 'backup' })
  await holdfast.snapshots.restore('snapshot-1')
  await holdfast.snapshots.verify('snapshot-1')
  assert.equal(keys.size, 3)
})

test('a verify sends the folder that it is to compare, and its key', async (t) => {
  const sent: [string | undefined, string | undefined, unknown][] = []
  const url = await startServer(t, (request, response, body) => {
    sent.push([request.url, String(request.headers['idempotency-key']), JSON.parse(body)])
    answer(response, 202, operation)
  })
  const holdfast = new Holdfast({ url })
  const target = { path: '/srv/back' }
  await holdfast.snapshots.verify('s 1', { target, paths: ['a'] }, { idempotencyKey: 'once' })
  assert.deepEqual(sent, [['/api/v1/snapshots/s%201/verify', 'once', { target, paths: ['a'] }]])
})

test('a pause is never sent twice', async (t) => {
  let count = 0
  const url = await startServer(t, (request) => {
    count += 1
    request.socket.destroy()
  })
  const holdfast = new Holdfast({ url, ...quick })
  await assert.rejects(holdfast.operations.pause('op-1'), { code: 'unreachable', status: 0 })
  assert.equal(count, 1)
})

test('a refusal is an error with its code, status, detail and request id, and is not repeated', async (t) => {
  let count = 0
  const url = await startServer(t, (_request, response) => {
    count += 1
    answer(response, 409, {
      type: 'urn:holdfast:error:conflict',
      title: 'In conflict',
      status: 409,
      detail: 'source:s is busy: operation op-9 holds it',
      code: 'conflict',
      details: { operationId: 'op-9' },
      requestId: 'req-7',
    })
  })
  const holdfast = new Holdfast({ url, ...quick })
  await assert.rejects(holdfast.operations.submit({ kind: 'backup', sourceId: 's' }), (error) => {
    assert(error instanceof HoldfastError)
    assert.equal(error.code, 'conflict')
    assert.equal(error.status, 409)
    assert.equal(error.detail, 'source:s is busy: operation op-9 holds it')
    assert.deepEqual(error.details, { operationId: 'op-9' })
    assert.equal(error.requestId, 'req-7')
    return true
  })
  assert.equal(count, 1)
})

test('a page of a proxy becomes an error of its status', async (t) => {
  const url = await startServer(t, (_request, response) => {
    response.writeHead(404, { 'content-type': 'text/html' })
    response.end('<h1>not here</h1>')
  })
  const holdfast = new Holdfast({ url })
  await assert.rejects(holdfast.sources.get('x'), { code: 'not_found', status: 404 })
})

test('a server that starts is asked again until it answers', async (t) => {
  let count = 0
  const url = await startServer(t, (_request, response) => {
    count += 1
    if (count < 3) answer(response, 503, { code: 'unavailable', detail: 'starting' })
    else answer(response, 200, { items: [], nextCursor: null })
  })
  const holdfast = new Holdfast({ url, ...quick })
  assert.deepEqual((await holdfast.snapshots.list()).items, [])
})

test('an abort ends a request and its retries with its own reason', async (t) => {
  const url = await startServer(t, () => {
    // Never answers.
  })
  const controller = new AbortController()
  const holdfast = new Holdfast({ url })
  const asked = holdfast.whoami({ signal: controller.signal })
  const reason = new Error('enough')
  controller.abort(reason)
  await assert.rejects(asked, (error) => error === reason)
})

test('an answer that does not begin in time is a timeout', async (t) => {
  const url = await startServer(t, () => {
    // Never answers.
  })
  const holdfast = new Holdfast({ url, timeoutMs: 20, retriesMax: 0 })
  await assert.rejects(holdfast.whoami(), { code: 'timeout', status: 0 })
})

test('reads every page of a list', async (t) => {
  const url = await startServer(t, (request, response) => {
    const { searchParams } = new URL(request.url ?? '', 'http://here')
    assert.equal(searchParams.get('source'), 'a b')
    const cursor = searchParams.get('cursor')
    if (cursor === null)
      answer(response, 200, { items: [{ id: '3' }, { id: '2' }], nextCursor: '2' })
    else answer(response, 200, { items: [{ id: '1' }], nextCursor: null })
  })
  const holdfast = new Holdfast({ url })
  const ids: string[] = []
  for await (const { id } of holdfast.snapshots.all({ source: 'a b' })) ids.push(id)
  assert.deepEqual(ids, ['3', '2', '1'])
})

test('waits for the end through a server that goes away in between', async (t) => {
  let count = 0
  const url = await startServer(t, (request, response) => {
    count += 1
    if (count === 2) request.socket.destroy()
    else answer(response, 200, { ...operation, status: count < 4 ? 'running' : 'completed' })
  })
  const holdfast = new Holdfast({ url, ...quick })
  const seen: string[] = []
  const ended = await holdfast.operations.wait('op-1', {
    onOperation: ({ status }) => seen.push(status),
  })
  assert.equal(ended.status, 'completed')
  assert.deepEqual(seen, ['running', 'running', 'completed'])
})

test('waiting answers the newest state when its time is up', async (t) => {
  const url = await startServer(t, (_request, response) => answer(response, 200, operation))
  const holdfast = new Holdfast({ url })
  const newest = await holdfast.operations.wait('op-1', { timeoutMs: 1 })
  assert.equal(newest.status, 'running')
})

test('waiting for a server that stays away ends when patience does', async (t) => {
  const url = await startServer(t, (request) => request.socket.destroy())
  const holdfast = new Holdfast({ url, ...quick })
  await assert.rejects(holdfast.operations.wait('op-1', { patienceMs: 1 }), { code: 'unreachable' })
})

test('a download goes on from a byte, and knows its name and length', async (t) => {
  const url = await startServer(t, (request, response) => {
    assert.equal(request.headers.range, 'bytes=2-')
    response.writeHead(206, {
      'content-length': '3',
      'content-disposition': 'attachment; filename="gru_.txt"; filename*=UTF-8\'\'gr%C3%BC.txt',
    })
    response.end('llo')
  })
  const holdfast = new Holdfast({ url })
  const download = await holdfast.snapshots.download('s', { path: 'a/grü.txt', fromByte: 2 })
  assert.equal(download.name, 'grü.txt')
  assert.equal(download.bytes, 3)
  assert.equal(await new Response(download.stream).text(), 'llo')
})

test('a token function is asked for every request', async (t) => {
  const seen: unknown[] = []
  const url = await startServer(t, (request, response) => {
    seen.push(request.headers.authorization)
    answer(response, 200, {})
  })
  let count = 0
  const holdfast = new Holdfast({
    url,
    token: () => {
      count += 1
      return `token-${count}`
    },
  })
  await holdfast.whoami()
  await holdfast.whoami()
  assert.deepEqual(seen, ['Bearer token-1', 'Bearer token-2'])
})
