import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type OpenFace, openFace } from '../../../test/support/control-face.ts'
import { ADMIN_TOKEN } from '../../../test/support/control-rig.ts'

let face: OpenFace
let anna: string

before(async () => {
  face = await openFace()
  anna = await face.rig.token('anna')
})

after(async () => {
  await face.close()
})

const submit = (body: object, token = anna) => face.call(token, 'POST', '/api/v1/operations', body)

test('an input takes the fields of its kind, and names those that are nobody’s', async () => {
  const sourceId = await face.protect(anna)
  const { snapshotId } = await face.backUp(anna, sourceId)
  for (const [body, said] of [
    [{ kind: 'backup', sourceId, input: { colour: 'red', ignore: '' } }, /backup has no "colour"/],
    [
      { kind: 'restore', snapshotId, input: { path: ['x'] } },
      /restore has no "path"; it has .*paths/,
    ],
    [{ kind: 'verify', snapshotId, input: { mode: 'merge' } }, /verify has no "mode"/],
    [
      { kind: 'verify', snapshotId, input: { target: { path: '/x', as: 1 } } },
      /target has no "as"/,
    ],
  ] as const) {
    const answer = await submit(body)
    assert.equal(answer.status, 400, answer.text)
    assert.match(answer.body.detail, said)
  }
  const good = await submit({ kind: 'backup', sourceId, input: { compression: 'gzip' } })
  assert.equal(good.status, 202, good.text)
  await face.call(anna, 'GET', `/api/v1/operations/${good.body.id}?wait=10`)
})

test('says which id is missing, and which kind of source cannot be backed up yet', async () => {
  assert.match((await submit({ kind: 'backup' })).body.detail, /sourceId is missing/)
  assert.match((await submit({ kind: 'restore' })).body.detail, /snapshotId is missing/)
  assert.match((await submit({ kind: 'verify', input: {} })).body.detail, /snapshotId is missing/)
  const config = { host: 'db', port: 3306, user: 'holdfast', password: 'secret' }
  const made = await face.call(anna, 'POST', '/api/v1/sources', {
    ...{ kind: 'mysql', name: 'shop', config },
  })
  assert.equal(made.status, 201, made.text)
  const refused = await submit({ kind: 'backup', sourceId: made.body.id })
  assert.equal(refused.status, 400)
  assert.match(refused.body.detail, /cannot back up a source of kind mysql yet/)
})

test('an input of more than 64 KiB, and one nested without end, is refused and is no crash', async () => {
  const paths = Array.from({ length: 2_000 }, (_, index) => `folder/${index}/${'x'.repeat(40)}`)
  const large = await submit({ kind: 'restore', snapshotId: 'x', input: { paths } })
  assert.equal(large.status, 400)
  assert.match(large.body.detail, /may have 65536: name folders or globs/)
  const route = await face.call(anna, 'POST', '/api/v1/snapshots/x/restore', { paths })
  assert.equal(route.status, 404, 'whose snapshot it is comes first')
  for (const levels of [33, 2_000, 100_000]) {
    const deep = `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`
    for (const [url, text] of [
      ['/api/v1/operations', `{"kind":"custom","input":${deep}}`],
      ['/api/v1/sources', `{"kind":"directory","name":"x","config":${deep}}`],
    ] as const) {
      const answer = await face.call(anna, 'POST', url, text, {
        'content-type': 'application/json',
      })
      assert.equal(answer.status, 400, `${levels} levels to ${url}: ${answer.text.slice(0, 300)}`)
    }
  }
})

test('lists and the live feed tell a long input in short, and its operation tells it whole', async () => {
  const sourceId = await face.protect(anna)
  const { snapshotId } = await face.backUp(anna, sourceId)
  const paths = Array.from({ length: 900 }, (_, index) => `folder/${index}/${'x'.repeat(40)}`)
  const made = await submit({ kind: 'restore', snapshotId, input: { paths } })
  assert.equal(made.status, 202, made.text)
  const whole = await face.call(anna, 'GET', `/api/v1/operations/${made.body.id}?wait=10`)
  assert.ok(whole.text.includes('folder/899/'))
  const list = await face.call(anna, 'GET', '/api/v1/operations?limit=1')
  const { input } = list.body.items[0] as unknown as {
    input: { paths: string[]; pathsLeftOut: number; snapshotId: string }
  }
  assert.equal(input.snapshotId, snapshotId)
  assert.ok(input.paths.length > 0 && JSON.stringify(input.paths).length <= 1024)
  assert.equal(input.paths.length + input.pathsLeftOut, paths.length)
})

test('a verify against a folder needs the right to restore, on every way there is', async () => {
  const token = await face.rig.token('anna', ['operations.write', 'operations.read'])
  const { snapshotId } = await face.backUp(anna, await face.protect(anna))
  const target = { path: face.rig.sourceFolder }
  const refused = await submit({ kind: 'verify', snapshotId, input: { target } }, token)
  assert.equal(refused.status, 403, refused.text)
  const url = `/api/v1/snapshots/${snapshotId}/verify`
  assert.equal((await face.call(token, 'POST', url, { target })).status, 403)
  assert.equal((await face.call(token, 'POST', url, {})).status, 202)
})

test('pools in folders of the server are added by administrators, and renamed by whose they are', async () => {
  const body = { name: 'second', kind: 'local', config: { path: `${face.rig.folder}/second` } }
  const refused = await face.call(anna, 'POST', '/api/v1/pools', body)
  assert.equal(refused.status, 403)
  assert.match(refused.body.detail, /only administrators/)
  const made = await face.call(ADMIN_TOKEN, 'POST', '/api/v1/pools', body)
  assert.equal(made.status, 201, made.text)
  const url = `/api/v1/pools/${made.body.id}`
  const renamed = await face.call(ADMIN_TOKEN, 'PATCH', url, { name: 'Cellar' })
  assert.equal(renamed.body.name, 'Cellar', renamed.text)
  assert.equal((await face.call(anna, 'PATCH', url, { name: 'x' })).status, 404)
})

test('a token is shown by its id, and an account is made, shown and forgotten', async () => {
  const made = await face.call(anna, 'POST', '/api/v1/tokens', { name: 'ci', permissions: [] })
  const shown = await face.call(anna, 'GET', `/api/v1/tokens/${made.body.id}`)
  assert.equal(shown.body.name, 'ci', shown.text)
  assert.equal(shown.body.token, undefined)
  const body = { id: 'lab', name: 'The lab', quotaBytes: 1_000 }
  const account = await face.call(ADMIN_TOKEN, 'POST', '/api/v1/accounts', body)
  assert.equal(account.status, 201, account.text)
  assert.equal(account.headers['location'], '/api/v1/accounts/lab')
  assert.equal((await face.call(anna, 'POST', '/api/v1/accounts', { id: 'x' })).status, 403)
  assert.equal((await face.call(ADMIN_TOKEN, 'DELETE', '/api/v1/accounts/anna')).status, 409)
  assert.equal((await face.call(ADMIN_TOKEN, 'DELETE', '/api/v1/accounts/lab')).status, 204)
  assert.equal((await face.call(ADMIN_TOKEN, 'GET', '/api/v1/accounts/lab')).status, 404)
})

test('figures and parts of the server are shown to this machine by a name of its own only', async () => {
  for (const host of ['127.0.0.1:8080', 'localhost', '[::1]:8080']) {
    assert.equal((await face.call(null, 'GET', '/metrics', undefined, { host })).status, 200, host)
  }
  for (const host of ['rebound.example.org', 'localhost.example.org']) {
    const metrics = await face.call(null, 'GET', '/metrics', undefined, { host })
    assert.equal(metrics.status, 401, host)
    const health = await face.call(null, 'GET', '/healthz', undefined, { host })
    assert.equal(health.text, '{"status":"ok"}', host)
  }
  const host = 'backup.example.org'
  const admin = await face.call(ADMIN_TOKEN, 'GET', '/healthz', undefined, { host })
  assert.match(admin.text, /"database":"ok"/)
})

test('an id that is taken is refused without a word of whose it is', async () => {
  const config = { path: face.rig.sourceFolder }
  const body = { id: 'taken', kind: 'directory', name: 'x', config }
  assert.equal((await face.call(anna, 'POST', '/api/v1/sources', body)).status, 201)
  const own = await face.call(anna, 'POST', '/api/v1/sources', body)
  const other = await face.call(await face.rig.token('bert'), 'POST', '/api/v1/sources', body)
  assert.equal(other.status, 409)
  assert.equal(other.body.detail, own.body.detail)
})
