import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { type OpenFace, openFace } from '../../../test/support/control-face.ts'
import { ADMIN_TOKEN } from '../../../test/support/control-rig.ts'

let face: OpenFace

before(async () => {
  face = await openFace()
})

beforeEach(() => {
  face.address = '127.0.0.1'
})

after(async () => {
  await face.close()
})

/** The routes as the OpenAPI document lists them: one that is added is tried here by itself. */
async function readPaths(): Promise<Record<string, Record<string, unknown>>> {
  const { text } = await face.call(null, 'GET', '/openapi.json')
  return (JSON.parse(text) as { paths: Record<string, Record<string, unknown>> }).paths
}

test('hides everything of someone else behind 404, on every route that takes an id', async () => {
  const anna = await face.rig.token('anna')
  const bert = await face.rig.token('bert')
  const sourceId = await face.protect(anna)
  const { operationId, snapshotId } = await face.backUp(anna, sourceId)
  const device = await face.call(anna, 'POST', '/api/v1/devices', { name: 'laptop' })
  const made = await face.call(anna, 'POST', '/api/v1/tokens', { name: 'ci', permissions: [] })
  const pool = await face.call(ADMIN_TOKEN, 'POST', '/api/v1/pools', {
    name: 'second',
    kind: 'local',
    config: { path: `${face.rig.folder}/pool-of-anna` },
  })
  assert.equal(pool.status, 201, pool.text)
  const ids: Record<string, string> = {
    sources: sourceId,
    operations: operationId,
    snapshots: snapshotId,
    devices: device.body.id,
    tokens: made.body.id,
    pools: pool.body.id,
    accounts: 'anna',
  }
  const paths = await readPaths()
  let tried = 0
  for (const [path, methods] of Object.entries(paths)) {
    const kind = path.split('/')[3] ?? ''
    if (!path.includes('{id}')) continue
    for (const method of Object.keys(methods)) {
      const url = path.replace('{id}', ids[kind] as string)
      const bodies: Record<string, unknown> = {
        '/api/v1/snapshots/{id}': { pinned: true },
        '/api/v1/snapshots/{id}/restore': {},
        '/api/v1/snapshots/{id}/verify': {},
      }
      const body = ['patch', 'post'].includes(method)
        ? (bodies[path] ?? (method === 'patch' ? { name: 'mine' } : undefined))
        : undefined
      const answer = await face.call(bert, method.toUpperCase() as 'GET', url, body)
      const admin = path.startsWith('/api/v1/accounts') && method !== 'get'
      assert.equal(answer.status, admin ? 403 : 404, `${method} ${url}: ${answer.text}`)
      const text = answer.text.replaceAll(url, '')
      assert.ok(!text.includes('world-1') && !text.includes(face.rig.sourceFolder), url)
      const unknown = await face.call(
        bert,
        method.toUpperCase() as 'GET',
        path.replace('{id}', '019a0000-0000-7000-8000-000000000000'),
        body,
      )
      assert.equal(unknown.status, answer.status, `${method} ${path} tells that it is there`)
      tried += 1
    }
  }
  assert.ok(tried >= 22, `tried ${tried}`)
  for (const kind of ['sources', 'operations', 'snapshots', 'devices', 'tokens']) {
    const list = await face.call(bert, 'GET', `/api/v1/${kind}`)
    assert.deepEqual(list.body.items, [], kind)
  }
  const submitted = await face.call(bert, 'POST', '/api/v1/operations', {
    kind: 'backup',
    sourceId,
  })
  assert.equal(submitted.status, 404)
  const restored = await face.call(bert, 'POST', '/api/v1/operations', {
    kind: 'restore',
    input: { snapshotId },
  })
  assert.equal(restored.status, 404)
})

test('refuses every route without a token, and without the permission it needs', async () => {
  face.address = '127.0.0.2'
  const nobody = await face.rig.token('carl', [])
  const paths = await readPaths()
  const free = new Set(['get /api/v1/whoami', 'get /api/v1/accounts/{id}'])
  for (const [path, methods] of Object.entries(paths)) {
    for (const method of Object.keys(methods)) {
      if (path === '/api/v1/sessions') continue
      const url = path.replace('{id}', 'some-id')
      const verb = method.toUpperCase() as 'GET'
      const anonymous = await face.call(null, verb, url)
      assert.equal(anonymous.status, 401, `${method} ${path}`)
      assert.equal(anonymous.headers['www-authenticate'], 'Bearer')
      const forged = await face.call('eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.', verb, url)
      assert.equal(forged.status === 401 || forged.status === 429, true, `${method} ${path}`)
      if (free.has(`${method} ${path}`)) continue
      const refused = await face.call(nobody, verb, url)
      assert.equal(refused.status, 403, `${method} ${path}`)
      if (method !== 'head') assert.match(refused.body.detail, /lacks/)
    }
  }
})

test('signs a person in by a link that works once', async () => {
  const link = await face.call(ADMIN_TOKEN, 'POST', '/api/v1/sessions/link')
  assert.equal(link.status, 201, link.text)
  const code = decodeURIComponent(new URL(link.body.url).hash.slice('#code='.length))
  const session = await face.call(null, 'POST', '/api/v1/sessions', { code })
  assert.equal(session.status, 201, session.text)
  const token = session.body.token
  const me = await face.call(token, 'GET', '/api/v1/whoami')
  assert.deepEqual(me.body.permissions, ['admin'])
  const again = await face.call(null, 'POST', '/api/v1/sessions', { code })
  assert.equal(again.status, 401)
  assert.equal((await face.call(token, 'DELETE', '/api/v1/sessions/current')).status, 204)
  assert.equal((await face.call(token, 'GET', '/api/v1/whoami')).status, 401)
})

test('takes a token raw and by Bearer, and in the address for downloads only', async () => {
  const token = await face.rig.token('anna')
  const { snapshotId } = await face.backUp(token, await face.protect(token))
  const raw = await face.call(null, 'GET', '/api/v1/whoami', undefined, { authorization: token })
  assert.equal(raw.status, 200)
  assert.equal((await face.call(null, 'GET', `/api/v1/whoami?token=${token}`)).status, 401)
  for (const name of ['token', 'tk']) {
    const url = `/api/v1/snapshots/${snapshotId}/download?${name}=${token}`
    assert.equal((await face.call(null, 'GET', url)).status, 200, name)
  }
  assert.ok(!face.rig.logged.join('').includes(token), 'no token in the log')
})

test('leaves a line in the audit trail for every change', async () => {
  const token = await face.rig.token('audited')
  const sourceId = await face.protect(token)
  const { operationId, snapshotId } = await face.backUp(token, sourceId)
  await face.call(token, 'PATCH', `/api/v1/snapshots/${snapshotId}`, { pinned: true })
  assert.equal((await face.call(token, 'DELETE', `/api/v1/snapshots/${snapshotId}`)).status, 409)
  await face.call(token, 'PATCH', `/api/v1/snapshots/${snapshotId}`, { pinned: false })
  await face.call(token, 'POST', `/api/v1/snapshots/${snapshotId}/verify`)
  await face.call(token, 'PATCH', `/api/v1/sources/${sourceId}`, { name: 'renamed' })
  await face.call(token, 'POST', '/api/v1/tokens', { name: 'ci', permissions: ['sources.read'] })
  const trail = await face.call(ADMIN_TOKEN, 'GET', '/api/v1/audit?account=audited')
  const actions = trail.body.items.map(({ action }) => action)
  assert.deepEqual(actions.reverse(), [
    'account.create',
    'source.create',
    'operation.submit',
    'snapshot.pin',
    'snapshot.unpin',
    'operation.submit',
    'source.change',
    'token.create',
  ])
  const about = await face.call(ADMIN_TOKEN, 'GET', `/api/v1/audit?topicId=${operationId}`)
  assert.equal(about.body.items.length, 1)
})

test('slows down who guesses tokens: not even the right one is told from the others', async () => {
  face.address = '127.0.0.3'
  const colleague = await face.rig.token('anna')
  assert.equal((await face.call(colleague, 'GET', '/api/v1/whoami')).status, 200)
  const statuses = new Set<number>()
  for (let count = 0; count < 60; count += 1) {
    const answer = await face.call(`hf_guess-${count}`, 'GET', '/api/v1/whoami')
    statuses.add(answer.status)
    if (answer.status === 429) assert.ok(Number(answer.headers['retry-after']) >= 1)
  }
  assert.ok(statuses.has(429))
  assert.equal((await face.call(ADMIN_TOKEN, 'GET', '/api/v1/whoami')).status, 429)
  assert.equal((await face.call(colleague, 'GET', '/api/v1/whoami')).status, 200)
  face.address = '127.0.0.4'
  assert.equal((await face.call(ADMIN_TOKEN, 'GET', '/api/v1/whoami')).status, 200)
})
