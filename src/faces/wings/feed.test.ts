import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import type { NewEvent, ProgressNews } from '../../core/events.ts'
import type { Operation } from '../../core/operation.ts'
import { completed } from '../../core/progress.ts'
import { Hub } from '../../live/hub.ts'
import type { Database } from '../../store/database.ts'
import { insertOperation, replaceOperation } from '../../store/operations.ts'
import { openSqlite } from '../../store/sqlite.ts'
import { WingsFeed } from './feed.ts'
import { archiving, makeOperation, Peer, SERVER } from './session.test-support.ts'

const log = { warn: (message: string) => assert.fail(message) }

let folder: string
let database: Database
let hub: Hub
let feed: WingsFeed
let tellProgress: (news: ProgressNews) => void

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-wings-feed-'))
  database = await openSqlite({ file: join(folder, 'store.sqlite') })
  hub = new Hub({
    database,
    log,
    onProgress: (listener) => {
      tellProgress = listener
      return () => undefined
    },
  })
  feed = new WingsFeed(hub)
})

afterEach(async () => {
  feed.close()
  await hub.close()
  await database.close()
  await rm(folder, { recursive: true, force: true })
})

function connect(permissions: readonly string[] = ['backup.read']): Peer {
  const peer = new Peer()
  peer.permissions = permissions
  peer.replay = () => feed.replay(SERVER)
  Object.defineProperty(peer, 'untold', { get: () => [...feed.takeUntold(SERVER)] })
  feed.add(SERVER, peer.session)
  return peer
}

const eventOf = ({ id, accountId }: Operation, type: NewEvent['type']): NewEvent => ({
  topic: 'operation',
  topicId: id,
  accountId,
  type,
  atMs: 1,
  data: {},
})

const insert = (operation: Operation) =>
  database.write(async (tx) => {
    await insertOperation(tx, operation, null)
  })

const endOf = (operation: Operation): Operation => ({
  ...operation,
  status: 'completed',
  outcome: 'success',
  progress: completed(archiving(1000)),
  finishedAtMs: 2,
})

/** The events of a run in one commit: each is told with the state after the last. */
async function tell(operation: Operation, types: readonly NewEvent['type'][]): Promise<void> {
  await database.write(async (tx) => {
    assert.ok(await replaceOperation(tx, operation, endOf(operation)))
    for (const type of types) tx.append(eventOf(operation, type))
  })
  while (hub.toldSequence < (await hub.lastSequence())) await new Promise(setImmediate)
}

test('an operation whose events are told in one batch ends once', async () => {
  const peer = await connect().signedIn()
  const operation = makeOperation()
  await insert(operation)
  await tell(operation, ['started', 'phase', 'phase', 'completed'])
  tellProgress({
    operationId: operation.id,
    accountId: operation.accountId,
    sourceId: SERVER,
    progress: archiving(500),
  })
  assert.deepEqual(peer.percentages(), [0, 100])
  assert.equal(peer.named('backup completed').length, 1)
})

test('what an earlier life began is told to the first who may read backups, and forgotten then', async () => {
  const operation = makeOperation()
  await insert(operation)
  await feed.start()
  await tell(operation, ['started', 'completed'])
  const mute = await connect([]).signedIn()
  assert.deepEqual(mute.percentages(), [])
  const first = await connect().signedIn()
  assert.deepEqual(first.percentages(), [0, 100])
  assert.equal(first.named('backup completed').length, 1)
  const second = await connect().signedIn()
  assert.deepEqual(second.percentages(), [])
})

test('an end is told also where its record cannot be read any more', async () => {
  const peer = await connect().signedIn()
  const operation = makeOperation({ progress: archiving(500) })
  await insert(operation)
  await feed.start()
  await database.write(async (tx) => {
    await tx.sql.deleteFrom('operations').where('id', '=', operation.id).execute()
    tx.append(eventOf(operation, 'failed'))
  })
  while (hub.toldSequence < (await hub.lastSequence())) await new Promise(setImmediate)
  assert.deepEqual(peer.percentages(), [0, -1])
})

test('the news of one server do not reach another, and a deleted server lets its sockets go', async () => {
  const peer = await connect().signedIn()
  const elsewhere = makeOperation({ id: 'other', sourceId: 'server-2' })
  await insert(elsewhere)
  await tell(elsewhere, ['started', 'completed'])
  assert.deepEqual(peer.percentages(), [])
  await database.write(async (tx) => {
    tx.append({ ...eventOf(elsewhere, 'deleted'), topic: 'source', topicId: SERVER })
  })
  while (hub.toldSequence < (await hub.lastSequence())) await new Promise(setImmediate)
  assert.deepEqual(peer.closed, [1000])
})
