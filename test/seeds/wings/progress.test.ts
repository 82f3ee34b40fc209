import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { runInNewContext } from 'node:vm'
import { WebSocket } from 'ws'
import { type Holdfast, startHoldfast } from '../../support/holdfast.ts'
import { createDirectorySource, waitFor, waitForEnd } from '../../support/operations.ts'
import { describeTree, seededBytes, settleTimes } from '../../support/trees.ts'
import { panelToken, WingsClient } from './socket.ts'

// seed 000 and contract 000, against a real server, real archives and real sockets.

const FILES = 35
const BIG_BYTES = 48 * 1024 * 1024

let folder: string
let tree: string
let server: Holdfast
let serverId: string

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-wings-'))
  tree = join(folder, 'server')
  await mkdir(join(tree, 'world'), { recursive: true })
  const bytes = seededBytes(BIG_BYTES, 3)
  await writeFile(join(tree, 'world', 'a.dat'), bytes)
  await writeFile(join(tree, 'world', 'b.dat'), bytes.subarray(1))
  await writeFile(join(tree, 'world', 'c.dat'), bytes.subarray(2))
  for (let index = 3; index < FILES; index += 1) {
    await writeFile(join(tree, `file-${index}`), `content of ${index}`)
  }
  await settleTimes(tree)
  server = await startHoldfast()
  serverId = await createDirectorySource(server, tree)
})

after(async () => {
  await server.stop()
  await rm(folder, { recursive: true, force: true })
  await rm(server.dataFolder, { recursive: true, force: true })
})

const isLast = (frame: { event: string; args?: readonly unknown[] }) => {
  const [payload] = frame.args ?? []
  if (frame.event !== 'backup progress') return false
  const { percentage } = payload as { percentage: number }
  return percentage === 100 || percentage === -1
}

const post = (path: string, body: unknown) =>
  server.call('POST', `/api/servers/${serverId}${path}`, body)

async function startBackup(): Promise<string> {
  const uuid = randomUUID()
  const answer = await post('/backup', { adapter: 'wings', uuid, ignore: '' })
  assert.equal(answer.status, 202, JSON.stringify(answer.body))
  return uuid
}

async function finishedBackup(): Promise<string> {
  const uuid = await startBackup()
  const ended = await waitForEnd(server, uuid)
  assert.equal(ended.status, 'completed', JSON.stringify(ended.error))
  return uuid
}

async function signedIn(query = ''): Promise<WingsClient> {
  const client = await WingsClient.open(server, serverId, { query })
  await client.signIn(await panelToken(serverId))
  return client
}

suite('backup progress', () => {
  test('runs from one 0 to one 100, rising, at least a percent and half a second apart', async () => {
    const client = await signedIn()
    const uuid = await startBackup()
    await client.until(({ event }) => event === 'backup completed')
    const frames = client.frames.filter(({ frame }) => frame.event === 'backup progress')
    const payloads = client.progress()
    const [first, last] = [payloads.at(0), payloads.at(-1)]
    assert.deepEqual(Object.keys(first ?? {}), [
      'type',
      'percentage',
      'bytes_written',
      'bytes_total',
    ])
    assert.equal(first?.percentage, 0)
    assert.equal(first?.bytes_written, 0)
    assert.ok(
      (first?.bytes_total ?? 0) > 3 * BIG_BYTES - 10,
      'the total is known at the first frame',
    )
    assert.equal(last?.percentage, 100)
    assert.equal(last?.bytes_written, last?.bytes_total)
    assert.ok(payloads.length >= 3, `only ${payloads.length} frames`)
    for (let index = 1; index < payloads.length - 1; index += 1) {
      const [before, now] = [payloads[index - 1], payloads[index]]
      assert.ok((now?.percentage ?? 0) >= (before?.percentage ?? 0) + 1, 'rose less than a percent')
      assert.ok((now?.percentage ?? 100) <= 99, '100 before the end')
      const apart = (frames[index]?.atMs ?? 0) - (frames[index - 1]?.atMs ?? 0)
      assert.ok(apart > 450, `frames came ${apart} ms apart`)
    }
    for (const { text } of frames) assert.ok(text.length < 200, `a frame of ${text.length} bytes`)
    const [completed] = client.named('backup completed')
    const payload = completed?.args?.[0] as Record<string, unknown>
    assert.equal(payload['uuid'], uuid)
    assert.equal(payload['is_successful'], true)
    assert.match(String(payload['checksum']), /^[0-9a-f]{64}$/)
    client.close()
  })

  test('of a restore counts files and ends with the exact number', async () => {
    const uuid = await finishedBackup()
    const before = await describeTree(tree)
    await rm(join(tree, 'world', 'a.dat'))
    const client = await signedIn()
    const answer = await post(`/backup/${uuid}/restore`, {
      adapter: 'wings',
      truncate_directory: true,
    })
    assert.equal(answer.status, 202)
    await client.until(({ event }) => event === 'backup restore completed')
    const payloads = client.progress()
    assert.deepEqual(payloads.at(0), {
      type: 'restore',
      percentage: 0,
      bytes_written: 0,
      bytes_total: 0,
    })
    assert.deepEqual(payloads.at(-1), {
      type: 'restore',
      percentage: 100,
      bytes_written: FILES,
      bytes_total: 0,
    })
    for (const { bytes_written } of payloads.slice(0, -1)) assert.equal(bytes_written % 10, 0)
    assert.deepEqual(await describeTree(tree), before)
    client.close()
  })

  test('ends with -1 and the last counts when it is cancelled', async () => {
    const client = await signedIn()
    const uuid = await startBackup()
    await waitFor(server, uuid, ({ progress }) => progress.bytesDone > BIG_BYTES / 2)
    const answer = await server.call('DELETE', `/api/servers/${serverId}/backup/${uuid}/cancel`)
    assert.deepEqual(answer.body, {
      success: true,
      message: 'Backup operation cancelled successfully',
    })
    await client.until(isLast)
    const last = client.progress().at(-1)
    assert.equal(last?.percentage, -1)
    assert.ok((last?.bytes_written ?? 0) > 0)
    const completed = await client.until(({ event }) => event === 'backup completed')
    const payload = completed.args?.[0] as Record<string, unknown>
    assert.deepEqual(
      [payload['is_successful'], payload['checksum'], payload['file_size']],
      [false, '', 0],
    )
    client.close()
  })

  test('reaches a socket that comes in the middle at once, and as text for who asks for it', async () => {
    const uuid = await startBackup()
    await waitFor(server, uuid, ({ progress }) => (progress.percent ?? 0) > 5)
    const client = await signedIn('?args=string&details=1')
    const frame = await client.until(({ event }) => event === 'backup progress', 2_000)
    const [text] = frame.args ?? []
    assert.equal(typeof text, 'string')
    const payload = JSON.parse(String(text)) as Record<string, unknown>
    assert.deepEqual(Object.keys(payload).slice(0, 5), [
      'type',
      'percentage',
      'bytes_written',
      'bytes_total',
      'operation_id',
    ])
    assert.ok(Number(payload['percentage']) > 0)
    await waitForEnd(server, uuid)
    client.close()
  })

  test('goes on after kill -9, with one last frame on the next start', async () => {
    const uuid = await startBackup()
    await waitFor(server, uuid, ({ progress }) => progress.bytesDone > BIG_BYTES)
    await server.kill()
    server = await startHoldfast({ dataFolder: server.dataFolder })
    const client = await signedIn()
    await client.until(isLast)
    assert.equal(client.progress().filter(({ percentage }) => percentage === 100).length, 1)
    assert.equal((await waitForEnd(server, uuid)).status, 'completed')
    client.close()
  })

  test('drives the client of the seed, word for word', async () => {
    const client = await readFile('examples/wings/backup-progress.js', 'utf8')
    const bar = { style: { width: '' } }
    const text = { textContent: '' }
    const said: string[] = []
    const token = await panelToken(serverId)
    const { promise: done, resolve } = Promise.withResolvers<void>()
    class PanelSocket extends WebSocket {
      constructor(address: string) {
        const path = address.replace('wss://your-wings-instance', '').replace('{server}', serverId)
        super(`${server.url.replace('http', 'ws')}${path}?token=${token}`)
      }
    }
    const log = (message: string) => {
      said.push(message)
      if (message === 'Backup completed successfully!') resolve()
    }
    runInNewContext(client, {
      WebSocket: PanelSocket,
      console: { log, error: log },
      document: { getElementById: (id: string) => (id === 'progress-bar' ? bar : text) },
      JSON,
      Math,
    })
    await startBackup()
    await done
    assert.ok(
      said.some((line) => /^Backup progress: \d+% \(\d+MB \/ 144MB\)$/.test(line)),
      said.join('\n'),
    )
    assert.match(bar.style.width, /^\d+%$/)
    assert.match(text.textContent, /MB of 144MB$/)
  })
})

suite('a wings socket', () => {
  test('hears nothing of backups without backup.read', async () => {
    const client = await WingsClient.open(server, serverId)
    await client.signIn(await panelToken(serverId, { permissions: ['websocket.connect'] }))
    const uuid = await startBackup()
    await waitForEnd(server, uuid)
    await client.until(({ event }) => event === 'status')
    assert.deepEqual(client.named('backup progress'), [])
    assert.deepEqual(client.named('backup completed'), [])
    client.close()
  })

  test('hears nothing of another server', async () => {
    const other = join(folder, 'other')
    await mkdir(other)
    const otherId = await createDirectorySource(server, other)
    const client = await WingsClient.open(server, otherId)
    await client.signIn(await panelToken(otherId))
    await finishedBackup()
    assert.deepEqual(client.named('backup progress'), [])
    client.close()
  })

  test('answers success without args, then the state once, also when it signs in again', async () => {
    const client = await signedIn()
    assert.equal(client.frames[0]?.text, '{"event":"auth success"}')
    await client.until(({ event }) => event === 'stats')
    await client.signIn(await panelToken(serverId))
    await client.until(() => client.named('auth success').length === 2)
    assert.equal(client.named('status').length, 1)
    client.close()
  })

  test('refuses what is no token for this server, with the sentence of the dialect', async () => {
    const refused: [string, RegExp][] = [
      [
        await panelToken(serverId, { permissions: ['backup.read'] }),
        /jwt: missing connect permission$/,
      ],
      [await panelToken(randomUUID()), /jwt: server uuid mismatch$/],
      [await panelToken(serverId, { secondsLeft: -5 }), /jwt: exp claim is invalid$/],
      [
        await panelToken(serverId, { secret: 'another secret of 32 characters!!' }),
        /^Error Event \[/,
      ],
    ]
    for (const [token, sentence] of refused) {
      const client = await WingsClient.open(server, serverId)
      client.send('send stats')
      const first = await client.until(({ event }) => event === 'jwt error')
      assert.deepEqual(first.args, ['jwt: no jwt present'])
      client.send('auth', [token])
      const error = await client.until(() => client.named('jwt error').length === 2)
      assert.ok(error)
      assert.match(String(client.named('jwt error')[1]?.args?.[0]), sentence)
      client.close()
    }
  })

  test('is refused on an unknown server and from a foreign page', async () => {
    await assert.rejects(WingsClient.open(server, randomUUID()), /404/)
    await assert.rejects(
      WingsClient.open(server, serverId, { origin: 'https://evil.example' }),
      /403/,
    )
  })

  test('says once that its token is about to end', async () => {
    const client = await WingsClient.open(server, serverId)
    await client.signIn(await panelToken(serverId, { secondsLeft: 3 }))
    await client.until(({ event }) => event === 'token expiring')
    await client.until(({ event }) => event === 'token expired')
    assert.equal(client.named('token expiring').length, 1)
    assert.equal(client.named('token expired').length, 1)
    client.close()
  })

  test('is one of thirty at most that are signed in on a server; strangers do not count', async () => {
    const clients: WingsClient[] = []
    const other = join(folder, 'crowded')
    await mkdir(other)
    const id = await createDirectorySource(server, other)
    const strangers = await Promise.all(
      Array.from({ length: 40 }, () => WingsClient.open(server, id)),
    )
    const token = await panelToken(id)
    for (let index = 0; index < 30; index += 1) {
      const client = await WingsClient.open(server, id)
      await client.signIn(token)
      assert.equal(client.named('auth success').length, 1, `socket ${index}`)
      clients.push(client)
    }
    await assert.rejects(WingsClient.open(server, id), /400/)
    // One that waited at the door comes no further, either.
    const [late] = strangers
    late?.send('auth', [token])
    const refusal = await late?.until(({ event }) => event === 'jwt error')
    assert.match(String(refusal?.args?.[0]), /Too many open websocket connections\.$/)
    for (const client of [...clients, ...strangers]) client.close()
  })
})
