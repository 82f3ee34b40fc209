import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { Caller } from '../core/account.ts'
import type { Operation } from '../core/operation.ts'
import { NO_PROGRESS } from '../core/progress.ts'
import type { Snapshot } from '../core/snapshot.ts'
import type { SnapshotReader } from '../engines/engine.ts'
import { realPathOf } from '../platform/files.ts'
import { createIds } from '../platform/ids.ts'
import { createLog } from '../platform/log.ts'
import { RootPolicy } from '../platform/root-policy.ts'
import { createSecrets } from '../platform/secrets.ts'
import { listAudit } from '../store/audit.ts'
import { eventsSince } from '../store/event-log.ts'
import { insertOperation } from '../store/operations.ts'
import { insertSnapshot } from '../store/snapshots.ts'
import { openSqlite } from '../store/sqlite.ts'
import { Devices } from './devices.ts'
import { StoredPoolRecords } from './pool-records.ts'
import { Snapshots } from './snapshots.ts'
import { Sources } from './sources.ts'

export const PAGE = { limit: 50, cursor: null }

const caller = (accountId: string, ...permissions: string[]): Caller => ({
  accountId,
  name: accountId,
  permissions,
  tokenId: null,
  expiresAtMs: null,
})
export const anna = caller('anna', '*')
export const ben = caller('ben', '*')
export const admin = caller('admin', 'admin')

/** A catalog over a real store, and a reader that remembers what it was asked to remove. */
export async function setUpCatalog(
  t: TestContext,
  rootsIn: (folder: string) => readonly string[] | null = () => null,
) {
  const folder = await realPathOf(await mkdtemp(join(tmpdir(), 'holdfast-catalog-')))
  const dataFolder = join(folder, 'data')
  await mkdir(join(dataFolder, 'pool'), { recursive: true })
  await mkdir(join(folder, 'world'))
  const database = await openSqlite({ file: join(dataFolder, 'store.sqlite') })
  t.after(async () => {
    await database.close()
    await rm(folder, { recursive: true, force: true })
  })
  const clock = { nowMs: () => 1_000 }
  const shared = { database, clock, ids: createIds(clock) }
  const reader = createReader()
  const snapshots = new Snapshots({
    ...shared,
    readers: new Map([['archive', reader]]),
    log: createLog('silent'),
  })
  const secrets = createSecrets(randomBytes(32))
  const ownFolders = async () => [dataFolder]
  const sources = new Sources({
    ...shared,
    secrets,
    snapshots,
    ownFolders,
    roots: new RootPolicy(rootsIn(folder)),
  })
  return {
    folder,
    dataFolder,
    world: join(folder, 'world'),
    database,
    reader,
    snapshots,
    sources,
    devices: new Devices(shared),
    poolRecords: new StoredPoolRecords(shared),
    events: async () => {
      const events = await eventsSince(database.sql, { sinceSequence: 0, limit: 100 })
      return events.map(({ topic, topicId, type }) => `${topic} ${topicId} ${type}`)
    },
    audited: async () => {
      const { items } = await listAudit(database.sql, { accountId: null, ...PAGE })
      return items.map(({ actor, action, topicId }) => `${actor} ${action} ${topicId}`).reverse()
    },
    addSnapshot: async (changes: Partial<Snapshot>) => {
      const snapshot = { ...SNAPSHOT, ...changes }
      await database.write((tx) => insertSnapshot(tx, snapshot))
      return snapshot
    },
    addOperation: async (changes: Partial<Operation>) => {
      const operation = { ...OPERATION, ...changes }
      await database.write((tx) => insertOperation(tx, operation, null))
      return operation
    },
  }
}

function createReader() {
  const removed: string[] = []
  const content = { name: 'x', bytes: 0, modifiedAtMs: null, sha256: null }
  const open = () => Promise.reject(new Error('nothing is read here'))
  return {
    removed,
    browse: async (snapshot: Snapshot) => ({ entries: [], cursor: snapshot.id }),
    file: async () => ({ ...content, open }),
    whole: async () => ({ ...content, open }),
    remove: async (snapshot: Snapshot) => {
      removed.push(snapshot.id)
    },
  } satisfies SnapshotReader & { removed: string[] }
}

const SNAPSHOT: Snapshot = {
  id: 'snap-1',
  accountId: 'anna',
  sourceId: 'world',
  operationId: 'op-1',
  poolId: 'local',
  format: 'archive',
  key: 'archives/world/op-1-1.tar',
  bytes: 100,
  contentBytes: 90,
  itemCount: 3,
  sha256: '00',
  warningCount: 0,
  details: {},
  pinned: false,
  verifiedAtMs: null,
  verifiedWell: null,
  createdAtMs: 5,
}

const OPERATION: Operation = {
  id: 'live-1',
  accountId: 'anna',
  kind: 'backup',
  status: 'pending',
  statusReason: 'waits',
  outcome: null,
  priority: 50,
  sourceId: null,
  snapshotId: null,
  poolId: null,
  subjects: [],
  input: {},
  result: null,
  failure: null,
  progress: NO_PROGRESS,
  checkpoint: null,
  intent: null,
  attempt: 0,
  workerId: null,
  retryOf: null,
  resumedCount: 0,
  bytesNotRedone: 0,
  createdAtMs: 1,
  startedAtMs: null,
  updatedAtMs: 1,
  finishedAtMs: null,
}
