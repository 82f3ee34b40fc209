import assert from 'node:assert/strict'
import { type ChildProcess, execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { ended, startRoom } from '../support/command-room.ts'

// What a person meets at the first start, and when something is in the way of it.

type Room = Awaited<ReturnType<typeof startRoom>>

/** A server that is ready: its address, and what it said to the person until it ended. */
async function serve(room: Room, env: Record<string, string> = {}) {
  const child = room.start(['serve', '--port', '0'], env)
  const said = ended(child)
  const url = await readyUrl(child)
  return {
    url,
    stop: async () => {
      child.kill('SIGTERM')
      return await said
    },
  }
}

async function readyUrl(child: ChildProcess): Promise<string> {
  assert(child.stdout !== null)
  const lines = createInterface({ input: child.stdout })
  const [line = ''] = (await Promise.race([once(lines, 'line'), once(child, 'close')])) as [string]
  const url = /^holdfast ready url=(\S+) /.exec(String(line))?.[1]
  assert.ok(url !== undefined, `no ready line: ${line}`)
  return url
}

test('the admin token is shown by the first server, also where a command has made it, and once', async (t) => {
  const room = await startRoom(t)
  assert.equal((await room.run(['backup', 'photos'])).code, 0)
  const token = (await readFile(join(room.folder, 'data', 'admin-token'), 'utf8')).trim()
  const first = await (await serve(room)).stop()
  assert.equal(first.code, 0)
  assert.ok(first.stderr.includes(`Admin token, shown this once: ${token}`), first.stderr)
  const second = await (await serve(room)).stop()
  assert.ok(!second.stderr.includes(token))
})

test('what is kept is for its owner alone', async (t) => {
  const room = await startRoom(t)
  assert.equal((await room.run(['backup', 'photos'])).code, 0)
  const modeOf = async (name: string) => (await stat(join(room.folder, name))).mode & 0o777
  assert.equal(await modeOf('data'), 0o700)
  assert.equal(await modeOf('data/holdfast.sqlite'), 0o600)
  assert.equal(await modeOf('data/admin-token'), 0o600)
})

test('a server on every address tells addresses that can be gone to', async (t) => {
  const room = await startRoom(t)
  const env = { HOLDFAST_HOST: '0.0.0.0', HOLDFAST_ALLOW_PLAIN_HTTP: '1' }
  const server = await serve(room, env)
  assert.match(server.url, /^http:\/\/0\.0\.0\.0:\d+$/)
  const list = await room.run(['operations'])
  assert.equal(list.code, 0, list.stderr)
  const { stderr } = await server.stop()
  assert.match(stderr, /Dashboard: http:\/\/127\.0\.0\.1:\d+\/sign-in#code=/)
})

async function makeCertificate(folder: string, name: string, extra: readonly string[]) {
  const [cert, key] = [join(folder, `${name}.pem`), join(folder, `${name}.key`)]
  await promisify(execFile)('openssl', [
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1'],
    ...['-subj', `/CN=${name}`, '-keyout', key, '-out', cert, ...extra],
  ])
  return { HOLDFAST_TLS_CERT: cert, HOLDFAST_TLS_KEY: key }
}

test('a certificate of its own is trusted beside the server, and explained elsewhere', async (t) => {
  const room = await startRoom(t)
  const tls = await makeCertificate(room.folder, 'own', ['-addext', 'subjectAltName=IP:127.0.0.1'])
  const server = await serve(room, tls)
  const beside = await room.run(['operations'], tls)
  assert.equal(beside.code, 0, beside.stderr)
  const token = (await readFile(join(room.folder, 'data', 'admin-token'), 'utf8')).trim()
  const elsewhere = { HOLDFAST_URL: server.url, HOLDFAST_TOKEN: token }
  const distrusted = await room.run(['operations'], elsewhere)
  assert.equal(distrusted.code, 1)
  assert.match(distrusted.stderr, /nobody vouches for here: set NODE_EXTRA_CA_CERTS/)
  assert.doesNotMatch(distrusted.stderr, /is the server running/)
  const trusting = { ...elsewhere, NODE_EXTRA_CA_CERTS: tls.HOLDFAST_TLS_CERT }
  assert.equal((await room.run(['operations'], trusting)).code, 0)
  assert.equal((await server.stop()).code, 0)

  const named = await makeCertificate(room.folder, 'backup.example.org', [])
  const other = await serve(room, named)
  const { code, stderr } = await room.run(['operations'], named)
  assert.equal(code, 1)
  assert.match(stderr, /certificate for another name/)
  await other.stop()
})

test('a data folder that cannot be is refused in a sentence', async (t) => {
  const room = await startRoom(t)
  await writeFile(join(room.folder, 'file'), '')
  const folders = process.platform === 'linux' ? ['file', '/proc/x'] : ['file']
  for (const folder of folders) {
    for (const command of [
      ['serve', '--port', '0'],
      ['backup', 'photos'],
    ]) {
      const { code, stderr } = await room.run(command, { HOLDFAST_DATA: folder })
      assert.equal(code, 2, stderr)
      assert.match(stderr, /^holdfast: the data folder .* cannot be used: .*HOLDFAST_DATA\n/)
    }
  }
})

test('a server that cannot come to its start ends when it is told to', async (t) => {
  const room = await startRoom(t)
  // A database that is reached, and never says a word.
  const silent = createServer()
  silent.listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const { port } = silent.address() as AddressInfo
  const server = room.start(['serve', '--port', '0'], {
    DATABASE_URL: `postgres://holdfast@127.0.0.1:${port}/holdfast`,
  })
  const [socket] = await once(silent, 'connection')
  const began = performance.now()
  server.kill('SIGTERM')
  const { code } = await ended(server)
  assert.equal(code, 130)
  assert.ok(performance.now() - began < 9_000)
  socket.destroy()
  silent.close()
})

test('what a name of somebody holds steers no terminal, in sentences and in JSON', async (t) => {
  const { run } = await startRoom(t)
  const name = 'a\u001b[31m\u009b2J\u202e\u061c\u200b\u2028b'
  const plain = await run(['backup', name])
  assert.equal(plain.code, 4)
  assert.match(plain.stderr, /there is no folder .*a\?\[31m/)
  const json = await run(['backup', name, '--json'])
  for (const text of [plain.stderr, json.stdout]) {
    assert.doesNotMatch(text, /(?!\n)[\p{Cc}\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069]/u)
  }
  assert.ok(String(JSON.parse(json.stdout).message).includes(name), 'and says the same')
})
