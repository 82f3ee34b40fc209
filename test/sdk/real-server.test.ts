import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Holdfast, type LiveSnapshot, type LiveStore } from '@holdfast/sdk'
import { type App, startApp } from '../../src/app.ts'
import { parseConfig } from '../../src/config.ts'
import { createLog } from '../../src/platform/log.ts'

// The SDK against the server it is made for.

const ADMIN_TOKEN = 'admin-token-of-this-test'

async function startRoom(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-sdk-'))
  await mkdir(join(folder, 'photos', 'summer'), { recursive: true })
  await writeFile(join(folder, 'photos', 'summer', 'grüße.txt'), 'hello from berlin')
  await writeFile(join(folder, 'photos', 'empty'), '')
  let app: App | null = null
  const start = async (port = '0') => {
    const config = parseConfig({
      HOLDFAST_DATA: join(folder, 'data'),
      HOLDFAST_PORT: port,
      HOLDFAST_ADMIN_TOKEN: ADMIN_TOKEN,
    })
    app = await startApp(config, { log: createLog('error') })
    return app
  }
  const stop = async () => {
    const running = app
    app = null
    await running?.close()
  }
  t.after(async () => {
    await stop()
    await rm(folder, { recursive: true, force: true, maxRetries: 3 })
  })
  const { url } = await start()
  const holdfast = new Holdfast({
    url,
    token: ADMIN_TOKEN,
    live: { reconnectFirstMs: 20, reconnectMaxMs: 100 },
  })
  t.after(() => holdfast.live.close())
  return { folder, url, holdfast, start, stop }
}

/** Settles when what is shown fits. */
function until(store: LiveStore, fits: (snapshot: LiveSnapshot) => boolean): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (!fits(store.getSnapshot())) return
      queueMicrotask(() => leave())
      resolve()
    }
    const leave = store.subscribe(look)
    look()
  })
}

const backUp = async (holdfast: Holdfast, path: string) => {
  const source = await holdfast.sources.create({
    kind: 'directory',
    name: 'photos',
    config: { path },
  })
  const submitted = await holdfast.operations.submit({ kind: 'backup', sourceId: source.id })
  const operation = await holdfast.operations.wait(submitted.id)
  assert.equal(operation.status, 'completed')
  const [snapshot] = (await holdfast.snapshots.list({ source: source.id })).items
  assert(snapshot !== undefined)
  return { source, operation, snapshot }
}

test('backs up, browses, downloads by range, verifies, pins and deletes', async (t) => {
  const { folder, holdfast } = await startRoom(t)
  const { operation, snapshot } = await backUp(holdfast, join(folder, 'photos'))

  const { items } = await holdfast.snapshots.browse(snapshot.id, { path: 'summer' })
  assert.deepEqual(
    items.map(({ path, bytes }) => [path, bytes]),
    [['summer/grüße.txt', 17]],
  )
  const path = 'summer/grüße.txt'
  const download = await holdfast.snapshots.download(snapshot.id, { path, fromByte: 6 })
  assert.deepEqual([download.name, download.bytes], ['grüße.txt', 11])
  assert.equal(await new Response(download.stream).text(), 'from berlin')
  const address = await holdfast.snapshots.downloadAddress(snapshot.id, { path })
  assert.equal(await (await fetch(address)).text(), 'hello from berlin')

  const verify = await holdfast.snapshots.verify(snapshot.id)
  assert.equal((await holdfast.operations.wait(verify.id)).outcome, 'success')
  const restore = await holdfast.snapshots.restore(snapshot.id, {
    target: { path: join(folder, 'back') },
  })
  assert.equal((await holdfast.operations.wait(restore.id)).status, 'completed')

  const events = await holdfast.operations.events(operation.id)
  assert.deepEqual(
    [events.items.at(0)?.type, events.items.at(-1)?.type],
    ['submitted', 'completed'],
  )
  assert.deepEqual((await holdfast.operations.warnings(operation.id)).items, [])

  assert.equal((await holdfast.snapshots.pin(snapshot.id)).pinned, true)
  await assert.rejects(holdfast.snapshots.delete(snapshot.id), { code: 'conflict', status: 409 })
  await holdfast.snapshots.pin(snapshot.id, false)
  await holdfast.snapshots.delete(snapshot.id)
  await assert.rejects(holdfast.snapshots.get(snapshot.id), { code: 'not_found', status: 404 })
})

test('the same key is the same operation', async (t) => {
  const { folder, holdfast } = await startRoom(t)
  const { source } = await backUp(holdfast, join(folder, 'photos'))
  const options = { idempotencyKey: 'once' }
  const ids = await Promise.all(
    [1, 2, 3].map(async () => {
      const made = await holdfast.operations.submit(
        { kind: 'backup', sourceId: source.id },
        options,
      )
      return made.id
    }),
  )
  assert.equal(new Set(ids).size, 1)
})

for (const way of ['websocket', 'events'] as const) {
  test(`the live store follows a backup to its end by ${way}`, async (t) => {
    const { folder, url } = await startRoom(t)
    const holdfast = new Holdfast({
      url,
      token: ADMIN_TOKEN,
      ...(way === 'events' ? { live: { webSocket: null } } : {}),
    })
    t.after(() => holdfast.live.close())
    const store = holdfast.liveStore()
    const leave = store.subscribe(() => {
      // Keeps the feed open from one look to the next.
    })
    await until(store, ({ state }) => state === 'live')
    assert.equal(holdfast.live.way, way)
    const { operation } = await backUp(holdfast, join(folder, 'photos'))
    await until(store, ({ operations, changes }) => {
      const seen = operations.get(operation.id)
      return seen?.status === 'completed' && changes.source > 0 && changes.snapshot > 0
    })
    assert.equal(store.operation(operation.id)?.progress.percent, 100)
    leave()
  })
}

test('what happened while the server was being restarted is learned afterwards', async (t) => {
  const { folder, url, holdfast, start, stop } = await startRoom(t)
  const store = holdfast.liveStore()
  const leave = store.subscribe(() => {
    // Keeps the feed open.
  })
  await until(store, ({ state }) => state === 'live')
  await stop()
  await until(store, ({ state }) => state === 'offline')
  await start(new URL(url).port)
  const other = new Holdfast({ url, token: ADMIN_TOKEN })
  const { operation } = await backUp(other, join(folder, 'photos'))
  await until(
    store,
    ({ state, operations }) =>
      state === 'live' && operations.get(operation.id)?.status === 'completed',
  )
  assert.equal(store.getSnapshot().resyncs, 0)
  leave()
})

test('a link signs in once, and a session ends', async (t) => {
  const { url, holdfast } = await startRoom(t)
  const link = await holdfast.sessions.link()
  const code = new URLSearchParams(new URL(link.url).hash.slice(1)).get('code') ?? ''
  const visitor = new Holdfast({ url })
  const session = await visitor.sessions.start(code)
  assert.equal(session.accountId, (await holdfast.whoami()).accountId)
  await assert.rejects(visitor.sessions.start(code), { code: 'unauthenticated', status: 401 })
  const signedIn = new Holdfast({ url, token: session.token })
  assert.equal((await signedIn.whoami()).accountId, session.accountId)
  await signedIn.sessions.end()
  await assert.rejects(signedIn.whoami(), { code: 'unauthenticated', status: 401 })
})

test('a wrong token is refused by the live feed, and named', async (t) => {
  const { url } = await startRoom(t)
  const holdfast = new Holdfast({ url, token: 'wrong' })
  t.after(() => holdfast.live.close())
  const store = holdfast.liveStore()
  await until(store, ({ state }) => state === 'offline')
  assert.equal(holdfast.live.failure?.code, 'unauthenticated')
})

test('tokens, pools, devices, folders and the audit are where the SDK asks for them', async (t) => {
  const { folder, holdfast } = await startRoom(t)
  const made = await holdfast.tokens.create({ name: 'reader', permissions: ['snapshots.read'] })
  assert((await holdfast.tokens.list()).items.some(({ id }) => id === made.id))
  await holdfast.tokens.revoke(made.id)
  const [pool] = (await holdfast.pools.list()).items
  assert.deepEqual([pool?.id, pool?.kind], ['local', 'local'])
  const device = await holdfast.devices.create({ name: 'laptop' })
  assert.equal((await holdfast.devices.update(device.id, { name: 'desk' })).name, 'desk')
  await holdfast.devices.delete(device.id)
  const { folders } = await holdfast.folders(folder)
  assert(folders.some(({ name }) => name === 'photos'))
  assert((await holdfast.audit({ action: 'token.create' })).items.length > 0)
  assert.equal((await holdfast.accounts.get('admin')).id, 'admin')
})
