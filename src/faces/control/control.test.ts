import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { type OpenFace, openFace } from '../../../test/support/control-face.ts'

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

test('protects a folder, backs it up, and waits for the end', async () => {
  const token = await face.rig.token('anna')
  const sourceId = await face.protect(token)
  const submitted = await face.call(token, 'POST', '/api/v1/operations', {
    kind: 'backup',
    sourceId,
  })
  assert.equal(submitted.status, 202)
  assert.equal(submitted.headers['location'], `/api/v1/operations/${submitted.body.id}`)
  const ended = await face.call(
    token,
    'GET',
    `/api/v1/operations/${submitted.body.id}`,
    undefined,
    { prefer: 'wait=10' },
  )
  assert.equal(ended.headers['preference-applied'], 'wait=10')
  assert.equal(ended.body.status, 'completed')
  assert.equal(ended.body.progress.percent, 100)
  assert.match(ended.body.createdAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  const snapshots = await face.call(token, 'GET', `/api/v1/snapshots?source=${sourceId}`)
  assert.equal(snapshots.body.items.length, 1)
  const history = await face.call(token, 'GET', `/api/v1/operations/${submitted.body.id}/events`)
  const types = history.body.items.map(({ type }) => type)
  assert.equal(types[0], 'submitted')
  assert.equal(types.at(-1), 'completed')
})

test('does a submission once, however often its Idempotency-Key comes', async () => {
  const token = await face.rig.token('anna')
  const sourceId = await face.protect(token)
  const body = { kind: 'backup', sourceId }
  const key = { 'idempotency-key': 'once-1' }
  const [first, second] = await Promise.all([
    face.call(token, 'POST', '/api/v1/operations', body, key),
    face.call(token, 'POST', '/api/v1/operations', body, key),
  ])
  assert.equal(first.status, 202)
  assert.equal(second.body.id, first.body.id)
  const other = await face.call(token, 'POST', '/api/v1/operations', { ...body, priority: 7 }, key)
  assert.equal(other.status, 409)
  assert.equal(other.body.code, 'conflict')
})

test('pauses, resumes, cancels and retries, and refuses what the status does not allow', async () => {
  const token = await face.rig.token('anna')
  const sourceId = await face.protect(token)
  const post = (path: string, headers = {}) => face.call(token, 'POST', path, undefined, headers)
  face.rig.engine.isFree = false
  const made = await face.call(token, 'POST', '/api/v1/operations', { kind: 'backup', sourceId })
  const path = `/api/v1/operations/${made.body.id}`
  const busy = await face.call(token, 'POST', '/api/v1/operations', { kind: 'backup', sourceId })
  assert.equal(busy.status, 409)
  assert.equal(busy.body.details['operationId'], made.body.id)
  assert.equal((await post(`${path}/retry`)).status, 409)
  assert.equal((await post(`${path}/pause`)).status, 200)
  for (;;) {
    const { body } = await face.call(token, 'GET', path)
    if (body.status === 'paused') break
  }
  assert.equal((await post(`${path}/resume`)).body.status, 'pending')
  assert.equal((await post(`${path}/cancel`)).status, 200)
  assert.equal((await face.call(token, 'GET', `${path}?wait=10`)).body.status, 'cancelled')
  for (const verb of ['pause', 'resume']) {
    const refused = await post(`${path}/${verb}`)
    assert.equal(refused.status, 409, verb)
    assert.match(refused.body.detail, /cancelled/)
  }
  face.rig.engine.isFree = true
  const key = { 'idempotency-key': 'retry-once' }
  const [again, same] = [await post(`${path}/retry`, key), await post(`${path}/retry`, key)]
  assert.equal(again.status, 202, again.text)
  assert.equal(JSON.parse(again.text).retryOf, made.body.id)
  assert.equal(same.body.id, again.body.id)
})

test('answers every failure as a problem with the sentence that says what to do', async () => {
  const token = await face.rig.token('anna')
  const cases: [string, Awaited<ReturnType<OpenFace['call']>>, number, string, RegExp][] = [
    [
      'unknown',
      await face.call(token, 'GET', '/api/v1/nothing'),
      404,
      'not_found',
      /there is no GET/,
    ],
    [
      'broken JSON',
      await face.call(token, 'POST', '/api/v1/sources', '{"kind":', {
        'content-type': 'application/json',
      }),
      400,
      'invalid',
      /no valid JSON/,
    ],
    [
      'prototype',
      await face.call(token, 'POST', '/api/v1/sources', '{"__proto__":{"admin":true}}', {
        'content-type': 'application/json',
      }),
      400,
      'invalid',
      /./,
    ],
    [
      'fields',
      await face.call(token, 'POST', '/api/v1/sources', { kind: 'floppy', nam: 'x' }),
      400,
      'invalid',
      /kind: .*"directory".*name: /,
    ],
    [
      'type',
      await face.call(token, 'POST', '/api/v1/sources', '<a/>', { 'content-type': 'text/xml' }),
      415,
      'invalid',
      /application\/json/,
    ],
    [
      'large',
      await face.call(token, 'POST', '/api/v1/sources', { name: 'x'.repeat(2_000_000) }),
      413,
      'too_large',
      /too large/,
    ],
    [
      'cursor',
      await face.call(token, 'GET', '/api/v1/sources?cursor=%00'),
      400,
      'invalid',
      /cursor/,
    ],
    [
      'cursor',
      await face.call(token, 'GET', '/api/v1/operations?cursor=x'),
      400,
      'invalid',
      /cursor/,
    ],
    ['limit', await face.call(token, 'GET', '/api/v1/sources?limit=501'), 400, 'invalid', /limit/],
    ['limit', await face.call(token, 'GET', '/api/v1/sources?limit=0'), 400, 'invalid', /limit/],
    [
      'status',
      await face.call(token, 'GET', '/api/v1/operations?status=gone'),
      400,
      'invalid',
      /status/,
    ],
    ['bad url', await face.call(token, 'GET', '/api/v1/sources/%E0%A4%A'), 400, 'invalid', /./],
  ]
  for (const [name, answer, status, code, detail] of cases) {
    assert.equal(answer.status, status, `${name}: ${answer.text}`)
    assert.equal(answer.headers['content-type'], 'application/problem+json', name)
    assert.equal(answer.body.code, code, name)
    assert.match(answer.body.detail, detail, name)
    assert.equal(answer.body.requestId, answer.headers['x-request-id'], name)
  }
})

test('pages through a list without a gap or a double', async () => {
  const token = await face.rig.token('paging')
  const made: string[] = []
  for (let count = 0; count < 7; count += 1) {
    const device = await face.call(token, 'POST', '/api/v1/devices', { name: `device ${count}` })
    made.unshift(device.body.id)
  }
  const seen: string[] = []
  let cursor: string | null = null
  do {
    const query: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`
    const page = await face.call(token, 'GET', `/api/v1/devices?limit=3${query}`)
    seen.push(...page.body.items.map(({ id }) => id))
    cursor = page.body.nextCursor
  } while (cursor !== null)
  assert.deepEqual(seen, made)
})
