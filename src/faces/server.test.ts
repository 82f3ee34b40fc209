import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { get as httpsGet } from 'node:https'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { WebSocket } from 'ws'
import { type OpenFace, openFace, TEST_SERVER } from '../../test/support/control-face.ts'
import { ADMIN_TOKEN, openRig, type Rig } from '../../test/support/control-rig.ts'
import { AppError } from '../core/errors.ts'
import { type ServerOptions, startServer } from './server.ts'

let rig: Rig
let webFolder: string

before(async () => {
  rig = await openRig()
  webFolder = await mkdtemp(join(tmpdir(), 'holdfast-web-'))
  await mkdir(join(webFolder, 'assets'))
  await writeFile(join(webFolder, 'index.html'), '<!doctype html><title>Holdfast</title>')
  await writeFile(join(webFolder, 'assets', 'app-1a2b3c.js'), 'export {}')
})

after(async () => {
  await rig.close()
  await rm(webFolder, { recursive: true })
})

const start = (options: Partial<ServerOptions> = {}) =>
  startServer({ ...TEST_SERVER, webFolder, services: rig.services, ...options })

const withFace = async (
  options: Partial<ServerOptions>,
  use: (face: OpenFace) => Promise<void>,
): Promise<void> => {
  const face = await openFace({ webFolder, ...options })
  try {
    await use(face)
  } finally {
    await face.close()
  }
}

test('refuses plain HTTP off loopback, and says what to set', async () => {
  for (const host of ['0.0.0.0', '::', '192.0.2.1', 'backup.example.org']) {
    await assert.rejects(start({ host }), (error: unknown) => {
      assert.ok(error instanceof AppError)
      assert.match(error.message, /HOLDFAST_TLS_CERT.*HOLDFAST_BEHIND_PROXY/)
      return true
    })
  }
  for (const options of [{ behindProxy: true }, { allowPlainHttp: true }]) {
    const server = await start({ host: '0.0.0.0', ...options })
    assert.equal(server.url, `http://0.0.0.0:${server.port}`)
    assert.equal(server.localUrl, `http://127.0.0.1:${server.port}`)
    assert.equal((await fetch(`${server.localUrl}/healthz`)).status, 200)
    await server.close()
  }
})

test('says which port is taken', async () => {
  const server = await start()
  await assert.rejects(start({ port: server.port }), /port \d+ on 127\.0\.0\.1 is taken/)
  await server.close()
})

test('speaks TLS with a certificate and its key', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-tls-'))
  const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  const subject = ['-subj', '/CN=localhost', '-keyout', keyFile, '-out', certFile]
  await promisify(execFile)('openssl', [
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1'],
    ...subject,
  ])
  const server = await start({ tls: { certFile, keyFile } })
  const request = httpsGet(`${server.url}/healthz`, { rejectUnauthorized: false, agent: false })
  const [response] = await once(request, 'response')
  assert.match(server.url, /^https:/)
  assert.equal(response.statusCode, 200)
  response.resume()
  await server.close()
  await assert.rejects(
    start({ tls: { certFile, keyFile: join(folder, 'none.pem') } }),
    /HOLDFAST_TLS_KEY cannot be read \(ENOENT\)/,
  )
  await rm(folder, { recursive: true })
})

test('guards every answer, errors and files included', async () => {
  await withFace({}, async (face) => {
    const urls = ['/', '/healthz', '/api/v1/whoami', '/api/v1/none', '/none', '/%ff', '/docs']
    for (const url of urls) {
      const { headers } = await face.call(null, 'GET', url)
      assert.match(String(headers['x-request-id']), /^[\w.-]{8,64}$/, url)
      assert.equal(headers['x-content-type-options'], 'nosniff', url)
      assert.equal(headers['referrer-policy'], 'no-referrer', url)
      assert.match(String(headers['content-security-policy']), /frame-ancestors 'none'/, url)
      assert.match(String(headers['content-security-policy']), /script-src 'self';/, url)
    }
    const kept = await face.call(null, 'GET', '/healthz', undefined, {
      'x-request-id': 'from-proxy-1',
    })
    assert.equal(kept.headers['x-request-id'], 'from-proxy-1')
    const odd = await face.call(null, 'GET', '/healthz', undefined, { 'x-request-id': 'a b"c<d>' })
    assert.notEqual(odd.headers['x-request-id'], 'a b"c<d>')
  })
})

test('serves the dashboard: hashed files for ever, pages always fresh, and nothing beside it', async () => {
  await withFace({}, async (face) => {
    const html = { accept: 'text/html' }
    for (const url of ['/', '/operations/42', '/sign-in']) {
      const page = await face.call(null, 'GET', url, undefined, html)
      assert.equal(page.status, 200, url)
      assert.match(page.text, /<title>Holdfast/)
      assert.equal(page.headers['cache-control'], 'no-cache', url)
    }
    const asset = await face.call(null, 'GET', '/assets/app-1a2b3c.js')
    assert.match(String(asset.headers['cache-control']), /immutable/)
    const gone = await face.call(null, 'GET', '/assets/app-old.js', undefined, html)
    assert.equal(gone.status, 404, 'a file of an older build is no page')
    const api = await face.call(null, 'GET', '/api/v1/none', undefined, html)
    assert.equal(api.headers['content-type'], 'application/problem+json')
    for (const url of [
      '/..%2f..%2fetc/passwd',
      '/%2e%2e/%2e%2e/etc/passwd',
      '/assets/..%5c..%5cx',
    ]) {
      const answer = await face.call(null, 'GET', url)
      assert.ok(answer.status >= 400, url)
    }
  })
})

test('says that it lives only while its parts work', async () => {
  await withFace({}, async (face) => {
    const well = await face.call(null, 'GET', '/healthz')
    assert.equal(well.status, 200)
    assert.deepEqual(JSON.parse(well.text).checks, { database: 'ok' })
    face.rig.trouble.isDatabaseDown = true
    const broken = await face.call(null, 'GET', '/healthz')
    assert.equal(broken.status, 503)
    assert.deepEqual(JSON.parse(broken.text).checks, { database: 'failing' })
  })
})

test('shows its figures to this machine and to administrators only', async () => {
  await withFace({ behindProxy: true }, async (face) => {
    const local = await face.call(null, 'GET', '/metrics')
    assert.equal(local.status, 200)
    assert.match(local.text, /^holdfast_operations\{status="running"\} 0$/m)
    assert.match(local.text, /^process_resident_memory_bytes \d+$/m)
    const remote = { 'x-forwarded-for': '192.0.2.7' }
    assert.equal((await face.call(null, 'GET', '/metrics', undefined, remote)).status, 401)
    const someone = await face.rig.token('anna')
    assert.equal((await face.call(someone, 'GET', '/metrics', undefined, remote)).status, 403)
    assert.equal((await face.call(ADMIN_TOKEN, 'GET', '/metrics', undefined, remote)).status, 200)
  })
})

test('lets pages of other origins in only where they are named', async () => {
  const ask = { origin: 'https://panel.example.org', 'access-control-request-method': 'POST' }
  await withFace({}, async (face) => {
    const answer = await face.call(null, 'OPTIONS', '/api/v1/operations', undefined, ask)
    assert.equal(answer.headers['access-control-allow-origin'], undefined)
  })
  await withFace({ allowedOrigins: ['https://panel.example.org'] }, async (face) => {
    const answer = await face.call(null, 'OPTIONS', '/api/v1/operations', undefined, ask)
    assert.equal(answer.headers['access-control-allow-origin'], 'https://panel.example.org')
    const other = { ...ask, origin: 'https://evil.example.org' }
    const refused = await face.call(null, 'OPTIONS', '/api/v1/operations', undefined, other)
    assert.notEqual(refused.headers['access-control-allow-origin'], 'https://evil.example.org')
  })
})

test('describes itself, with a page that needs nothing from elsewhere', async () => {
  await withFace({}, async (face) => {
    const document = JSON.parse((await face.call(null, 'GET', '/openapi.json')).text)
    assert.equal(document.openapi, '3.1.0')
    assert.ok(Object.keys(document.paths).length >= 30)
    assert.ok(document.components.schemas.Operation)
    const page = await face.call(null, 'GET', '/docs/')
    assert.equal(page.status, 200)
    assert.doesNotMatch(page.text, /(src|href)="(https?:)?\/\//)
    for (const [, file] of page.text.matchAll(/(?:src|href)="([^"]+)"/g)) {
      const url = new URL(file as string, 'http://x/docs/').pathname
      assert.equal((await face.call(null, 'GET', url)).status, 200, url)
    }
  })
})

test('takes a JSON type without a body where none is needed, and asks for one where it is', async () => {
  const server = await start()
  const ask = (path: string) =>
    fetch(`${server.localUrl}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' },
    })
  assert.equal((await ask('/api/v1/sessions/link')).status, 201)
  assert.equal((await ask('/api/v1/sources')).status, 400)
  await server.close()
})

test('lets go of a client that sends its body too slowly', async () => {
  const server = await start({ requestTimeoutMs: 300 })
  const authorization = `Authorization: Bearer ${await rig.token('anna')}`
  const socket = connect(server.port, '127.0.0.1')
  const head = ['POST /api/v1/sources HTTP/1.1', 'Host: x', authorization]
  const body = ['Content-Type: application/json', 'Content-Length: 1000', '', '{']
  socket.write([...head, ...body].join('\r\n'))
  const drip = setInterval(() => socket.write(' '), 50)
  const [answer] = await once(socket, 'data')
  clearInterval(drip)
  socket.destroy()
  await server.close()
  assert.match(String(answer), /^HTTP\/1\.1 408 /)
})

test('closes in order: who waits is answered, sockets are told, and nothing more comes in', async () => {
  const token = await rig.token('anna')
  rig.engine.isFree = false
  const server = await start()
  const authorization = `Bearer ${token}`
  const post = async (path: string, body: object) => {
    const response = await fetch(server.url + path, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    return (await response.json()) as { id: string }
  }
  const config = { path: rig.sourceFolder }
  const source = await post('/api/v1/sources', { kind: 'directory', name: 'x', config })
  const operation = await post('/api/v1/operations', { kind: 'backup', sourceId: source.id })
  const waiting = fetch(`${server.url}/api/v1/operations/${operation.id}?wait=60`, {
    headers: { authorization },
  })
  const stream = await fetch(`${server.url}/api/v1/live/events`, { headers: { authorization } })
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/api/v1/live`)
  await once(socket, 'open')
  const closed = once(socket, 'close')
  await new Promise((resolve) => setTimeout(resolve, 100))
  const began = performance.now()
  await server.close()
  assert.ok(performance.now() - began < 5_000)
  assert.equal((await closed)[0], 1001)
  assert.equal((await waiting).status, 200)
  await stream.text()
  await assert.rejects(fetch(`${server.url}/healthz`))
  rig.engine.isFree = true
  rig.engine.finish(operation.id)
})

test('refuses an upgrade to an address that has none', async () => {
  const server = await start()
  for (const path of ['/none', '/%zz', '/api/servers/%zz/ws']) {
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}${path}`)
    const [error] = await once(socket, 'error')
    assert.match(String(error), /Unexpected server response: 40[04]/, path)
  }
  await server.close()
})
