import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { SignJWT } from 'jose'
import { type Holdfast, JWT_SECRET, startHoldfast } from '../../support/holdfast.ts'
import { createDirectorySource, waitForEnd } from '../../support/operations.ts'
import { seededBytes } from '../../support/trees.ts'

// contract 000, A5: the backup routes of the daemon, with its sentences.

let folder: string
let server: Holdfast
let serverId: string
let slowId: string

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-wings-rest-'))
  await mkdir(join(folder, 'server'))
  await writeFile(join(folder, 'server', 'world.txt'), 'hello')
  await mkdir(join(folder, 'slow'))
  for (let index = 0; index < 4; index += 1) {
    await writeFile(join(folder, 'slow', `${index}.bin`), seededBytes(48 * 1024 * 1024, index))
  }
  server = await startHoldfast()
  serverId = await createDirectorySource(server, join(folder, 'server'))
  slowId = await createDirectorySource(server, join(folder, 'slow'))
})

after(async () => {
  await server.stop()
  await rm(folder, { recursive: true, force: true })
  await rm(server.dataFolder, { recursive: true, force: true })
})

const backup = (id: string, uuid: string = randomUUID()) =>
  server.call('POST', `/api/servers/${id}/backup`, { adapter: 'wings', uuid, ignore: '' })

async function finished(id = serverId): Promise<string> {
  const uuid = randomUUID()
  assert.equal((await backup(id, uuid)).status, 202)
  await waitForEnd(server, uuid)
  return uuid
}

suite('the backup routes', () => {
  test('answer 401 without a token and 403 for a wrong one', async () => {
    const path = `/api/servers/${serverId}/backup/operations`
    const none = await fetch(new URL(path, server.url))
    assert.equal(none.status, 401)
    assert.equal(none.headers.get('www-authenticate'), 'Bearer')
    assert.deepEqual(await none.json(), {
      error: 'The required authorization heads were not present in the request.',
    })
    const wrong = await server.call('GET', path, undefined, { authorization: 'Bearer nonsense' })
    assert.equal(wrong.status, 403)
    assert.deepEqual(wrong.body, { error: 'You are not authorized to access this endpoint.' })
    assert.ok(wrong.headers.get('x-request-id'))
  })

  test('refuse an id that is no canonical UUID, and lower-case one that is', async () => {
    for (const uuid of [
      'nope',
      '{11111111-2222-4333-8444-555555555555}',
      '../../etc/passwd',
      '11111111222243338444555555555555',
    ]) {
      const answer = await backup(serverId, uuid)
      assert.equal(answer.status, 400)
      assert.deepEqual(answer.body, { error: 'The backup identifier must be a valid UUID.' })
    }
    const upper = randomUUID().toUpperCase()
    assert.equal((await backup(serverId, upper)).status, 202)
    assert.equal((await waitForEnd(server, upper.toLowerCase())).status, 'completed')
    const taken = { error: 'A backup with this identifier already exists on this server.' }
    const second = await backup(serverId, upper)
    assert.deepEqual([second.status, second.body], [409, taken])
    const once = randomUUID()
    const both = await Promise.all([backup(serverId, once), backup(serverId, once)])
    assert.deepEqual(both.map(({ status }) => status).sort(), [202, 409])
    await waitForEnd(server, once)
  })

  test('answer 202 with nothing in it, and 409 while another runs on the same server', async () => {
    const uuid = randomUUID()
    const first = await backup(slowId, uuid)
    assert.deepEqual([first.status, first.body], [202, { text: '' }])
    const second = await backup(slowId)
    assert.equal(second.status, 409)
    assert.deepEqual(second.body, {
      error: 'A backup operation is already running for this server',
    })
    const { body } = await server.call('GET', `/api/servers/${slowId}/backup/operations`)
    assert.equal(body['count'], 1)
    const [operation] = body['operations'] as Record<string, unknown>[]
    assert.deepEqual([operation?.['backup_id'], operation?.['type']], [uuid, 'backup'])
    // contract 000, B 18: a delete cancels first.
    const deleted = await server.call('DELETE', `/api/servers/${slowId}/backup/${uuid}`)
    assert.equal(deleted.status, 204)
    assert.equal((await waitForEnd(server, uuid)).status, 'cancelled')
    const none = await server.call('GET', `/api/servers/${slowId}/backup/operations`)
    assert.deepEqual(none.body, { operations: [], count: 0 })
  })

  test('restore and delete only what is there', async () => {
    const missing = randomUUID()
    const restore = await server.call(
      'POST',
      `/api/servers/${serverId}/backup/${missing}/restore`,
      {
        adapter: 'wings',
        truncate_directory: true,
      },
    )
    assert.equal(restore.status, 404)
    const deleted = await server.call('DELETE', `/api/servers/${serverId}/backup/${missing}`)
    assert.equal(deleted.status, 404)
    assert.deepEqual(deleted.body, { error: 'The requested backup was not found on this server.' })
    const uuid = await finished()
    const path = `/api/servers/${serverId}/backup/${uuid}`
    assert.equal((await server.call('DELETE', path)).status, 204)
    assert.equal((await server.call('DELETE', path)).status, 404)
  })

  test('say what is missing when a restore from S3 has no address', async () => {
    const uuid = await finished()
    const answer = await server.call('POST', `/api/servers/${serverId}/backup/${uuid}/restore`, {
      adapter: 's3',
      truncate_directory: false,
    })
    assert.equal(answer.status, 400)
    assert.deepEqual(answer.body, {
      error: 'The download_url field is required when the backup adapter is set to S3.',
    })
  })

  test('do not show a server of somebody else', async () => {
    const token = await new SignJWT({ permissions: ['*'] })
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject('somebody-else')
      .setExpirationTime('5m')
      .sign(new TextEncoder().encode(JWT_SECRET))
    const answer = await server.call(
      'GET',
      `/api/servers/${serverId}/backup/operations`,
      undefined,
      {
        authorization: `Bearer ${token}`,
      },
    )
    assert.equal(answer.status, 404)
    assert.deepEqual(answer.body, {
      error: 'The requested resource does not exist on this instance.',
    })
  })
})

suite('a download link', () => {
  const link = (backupId: string, uniqueId: string, server_uuid = serverId) =>
    new SignJWT({
      server_uuid,
      backup_uuid: backupId,
      unique_id: uniqueId,
      scope: 'backup-download',
    })
      .setProtectedHeader({ alg: 'HS256' })
      .setIssuedAt()
      .setExpirationTime('15m')
      .sign(new TextEncoder().encode(JWT_SECRET))

  test('gives the archive once', async () => {
    const uuid = await finished()
    const url = new URL(`/download/backup?token=${await link(uuid, randomUUID())}`, server.url)
    const first = await fetch(url)
    assert.equal(first.status, 200)
    assert.equal(first.headers.get('content-disposition'), `attachment; filename="${uuid}.tar.gz"`)
    assert.equal(first.headers.get('content-type'), 'application/octet-stream')
    const bytes = Buffer.from(await first.arrayBuffer())
    assert.equal(bytes.length, Number(first.headers.get('content-length')))
    assert.deepEqual([bytes[0], bytes[1]], [0x1f, 0x8b], 'gzip')
    assert.equal((await fetch(url)).status, 404, 'a second use')
  })

  test('is refused for a backup of another server', async () => {
    const uuid = await finished()
    const url = new URL(
      `/download/backup?token=${await link(uuid, randomUUID(), slowId)}`,
      server.url,
    )
    assert.equal((await fetch(url)).status, 404)
  })
})
