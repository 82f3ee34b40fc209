import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type OpenFace, openFace } from '../../../test/support/control-face.ts'

let face: OpenFace

before(async () => {
  face = await openFace()
})

after(async () => {
  await face.close()
})

test('verifies the archive, or compares a folder with it', async () => {
  const token = await face.rig.token('anna')
  const { snapshotId } = await face.backUp(token, await face.protect(token))
  const path = `/api/v1/snapshots/${snapshotId}/verify`
  const inputs: object[] = []
  const bodies = [undefined, {}, { target: { path: '/srv/back' } }, BODY]
  for (const body of bodies) {
    const answer = await face.call(token, 'POST', path, body)
    assert.equal(answer.status, 202, answer.text)
    await face.call(token, 'GET', `/api/v1/operations/${answer.body.id}?wait=10`)
    inputs.push(JSON.parse(answer.text).input)
  }
  assert.deepEqual(inputs, [
    { snapshotId },
    { snapshotId },
    { target: { path: '/srv/back' }, snapshotId },
    { ...BODY, snapshotId },
  ])
  for (const body of [{ target: '/srv/back' }, { target: {} }, { paths: [] }, { against: '/x' }]) {
    assert.equal((await face.call(token, 'POST', path, body)).status, 400, JSON.stringify(body))
  }
})

const BODY = { target: { path: '/srv/back' }, paths: ['a/**'] }

test('a folder of the server is compared only for who may restore', async () => {
  const token = await face.rig.token('anna')
  const { snapshotId } = await face.backUp(token, await face.protect(token))
  const weak = await face.rig.token('anna', [
    'operations.write',
    'operations.read',
    'snapshots.read',
  ])
  const path = `/api/v1/snapshots/${snapshotId}/verify`
  const plain = await face.call(weak, 'POST', path)
  assert.equal(plain.status, 202, plain.text)
  await face.call(token, 'GET', `/api/v1/operations/${plain.body.id}?wait=10`)
  assert.equal((await face.call(weak, 'POST', path, BODY)).status, 403)
  const submit = { kind: 'verify', input: { ...BODY, snapshotId } }
  assert.equal((await face.call(weak, 'POST', '/api/v1/operations', submit)).status, 403)
  const made = await face.call(token, 'POST', path, BODY)
  await face.call(token, 'GET', `/api/v1/operations/${made.body.id}?wait=10`)
  assert.equal(
    (await face.call(weak, 'POST', `/api/v1/operations/${made.body.id}/retry`)).status,
    403,
  )
})
