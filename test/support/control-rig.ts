import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { SignJWT } from 'jose'
import { Auth } from '../../src/auth/auth.ts'
import { Devices } from '../../src/catalog/devices.ts'
import { StoredPoolRecords } from '../../src/catalog/pool-records.ts'
import { Snapshots } from '../../src/catalog/snapshots.ts'
import { Sources } from '../../src/catalog/sources.ts'
import { AppError } from '../../src/core/errors.ts'
import type { Snapshot } from '../../src/core/snapshot.ts'
import type {
  Engine,
  EngineContext,
  EngineResult,
  EngineTask,
  SnapshotContent,
  SnapshotEntry,
  SnapshotReader,
} from '../../src/engines/engine.ts'
import type { Services } from '../../src/faces/face.ts'
import { Jobs } from '../../src/jobs/jobs.ts'
import { Worker } from '../../src/jobs/worker.ts'
import { Hub } from '../../src/live/hub.ts'
import { systemClock } from '../../src/platform/clock.ts'
import { createIds } from '../../src/platform/ids.ts'
import { createLog } from '../../src/platform/log.ts'
import { createSecrets } from '../../src/platform/secrets.ts'
import { Pools } from '../../src/pools/pools.ts'
import type { Database } from '../../src/store/database.ts'
import { openSqlite } from '../../src/store/sqlite.ts'

export const JWT_SECRET = 'a secret of tests that is long enough for HS256'
export const ADMIN_TOKEN = 'admin-token-of-tests'

/** A backup that stands until it is told to go on: so that a test can look at it in every state. */
export class SteeredEngine implements Engine {
  readonly contexts = new Map<string, EngineContext>()
  readonly #ends = new Map<string, PromiseWithResolvers<void>>()
  /** Whether runs end by themselves. */
  isFree = true

  subjects({ source, snapshot }: EngineTask): readonly string[] {
    return [source === null ? `snapshot:${snapshot?.id}` : `source:${source.id}`]
  }

  async check(): Promise<void> {
    // Any task can work.
  }

  async run(task: EngineTask, context: EngineContext): Promise<EngineResult> {
    this.contexts.set(task.operationId, context)
    const end = this.#endOf(task.operationId)
    if (this.isFree) end.resolve()
    const { promise: stopped, reject } = Promise.withResolvers<never>()
    context.signal.addEventListener('abort', () => reject(context.signal.reason), { once: true })
    context.signal.throwIfAborted()
    await Promise.race([end.promise, stopped])
    const result = { words: 'done' }
    if (task.kind !== 'backup') return { result }
    const snapshot = {
      poolId: 'local',
      format: 'stand-in',
      key: `stand-in/${task.operationId}`,
      bytes: WHOLE.byteLength,
      contentBytes: 10,
      itemCount: 2,
      sha256: 'ab'.repeat(32),
      details: {},
    }
    return { result, snapshot }
  }

  async discard(): Promise<void> {
    // It leaves nothing.
  }

  /** Lets a run end. */
  finish(operationId: string): void {
    this.#endOf(operationId).resolve()
  }

  #endOf(operationId: string): PromiseWithResolvers<void> {
    const known = this.#ends.get(operationId)
    if (known !== undefined) return known
    const made = Promise.withResolvers<void>()
    this.#ends.set(operationId, made)
    return made
  }
}

export const WHOLE = Buffer.from('0123456789'.repeat(1000))

/** Snapshots whose files are what a test says. */
export class StandInReader implements SnapshotReader {
  readonly files = new Map<string, Buffer>([['notes.txt', Buffer.from('some notes')]])

  async browse(
    _snapshot: Snapshot,
    options: { path: string; cursor: string | null; limit: number },
  ) {
    if (options.path !== '') throw new AppError('not_found', `no folder ${options.path} in it`)
    const all: SnapshotEntry[] = [...this.files].map(([path, bytes]) => ({
      path,
      type: 'file',
      bytes: bytes.byteLength,
      mode: 0o644,
      modifiedAtMs: 1_700_000_000_000,
      linkTarget: null,
      sha256: null,
      pathBytes: null,
    }))
    const start = Number(options.cursor ?? 0)
    const entries = all.slice(start, start + options.limit)
    const next = start + entries.length
    return { entries, cursor: next < all.length ? String(next) : null }
  }

  async file(_snapshot: Snapshot, given: string | Buffer): Promise<SnapshotContent> {
    // A name that is no UTF-8 stands here under one character a byte.
    const path = typeof given === 'string' ? given : given.toString('latin1')
    const bytes = this.files.get(path)
    if (bytes === undefined) throw new AppError('not_found', `no file ${path} in it`)
    return contentOf(path, bytes, null)
  }

  async whole(snapshot: Snapshot): Promise<SnapshotContent> {
    return contentOf(`${snapshot.id}.bin`, WHOLE, snapshot.sha256)
  }

  async remove(): Promise<void> {
    // It keeps nothing.
  }
}

const contentOf = (name: string, bytes: Buffer, sha256: string | null): SnapshotContent => ({
  name,
  bytes: bytes.byteLength,
  modifiedAtMs: 1_700_000_000_000,
  sha256,
  open: async ({ start, end }) => Readable.from([bytes.subarray(start, end)]),
})

export interface Rig {
  readonly folder: string
  /** A folder that may be protected. */
  readonly sourceFolder: string
  readonly database: Database
  readonly services: Services
  readonly engine: SteeredEngine
  readonly reader: StandInReader
  /** What was logged, so that a test can look for secrets in it. */
  readonly logged: string[]
  readonly worker: Worker
  /** Set to have the health check of the database fail. */
  readonly trouble: { isDatabaseDown: boolean }
  token(accountId: string, permissions?: readonly string[]): Promise<string>
  close(): Promise<void>
}

/** Real services over a real embedded store; only what moves bytes is a stand-in. */
export async function openRig(): Promise<Rig> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-control-'))
  const dataFolder = join(folder, 'data')
  const sourceFolder = join(folder, 'source')
  await mkdir(dataFolder)
  await mkdir(sourceFolder)
  await writeFile(join(sourceFolder, 'notes.txt'), 'some notes')
  const logged: string[] = []
  const log = createLog('debug', (line) => logged.push(line))
  const clock = systemClock
  const ids = createIds(clock)
  const database = await openSqlite({ file: join(dataFolder, 'records.sqlite'), log })
  const shared = { database, clock, ids, log }
  const engine = new SteeredEngine()
  const reader = new StandInReader()
  const readers = new Map([['stand-in', reader]])
  const records = new StoredPoolRecords(shared)
  const pools = new Pools({ records, dataFolder, clock, ids })
  const snapshots = new Snapshots({ ...shared, readers })
  const secrets = createSecrets(new Uint8Array(32).fill(7))
  const sources = new Sources({
    ...shared,
    secrets,
    snapshots,
    ownFolders: async () => [dataFolder],
  })
  const engines = new Map(
    ['backup:directory', 'restore:stand-in', 'verify:stand-in'].map((key) => [key, engine]),
  )
  const jobs = new Jobs({ ...shared, engines, defaultPoolId: 'local' })
  const worker = new Worker({ jobs, concurrency: 4 })
  await worker.start()
  const hub = new Hub({ database, onProgress: (listener) => jobs.onProgress(listener), log })
  const auth = new Auth({ ...shared, jwtSecret: JWT_SECRET, adminToken: ADMIN_TOKEN })
  const devices = new Devices(shared)
  const trouble = { isDatabaseDown: false }
  const services = {
    ...{ jobs, sources, devices, snapshots, pools, auth, hub, clock, log },
    checks: {
      database: async () => {
        if (trouble.isDatabaseDown) throw new Error('the database is down')
        await hub.lastSequence()
      },
    },
  }
  return {
    ...{ folder, sourceFolder, database, services, engine, reader, logged, worker, trouble },
    token: async (accountId, permissions = ['*']) =>
      await new SignJWT({ permissions: [...permissions] })
        .setProtectedHeader({ alg: 'HS256' })
        .setSubject(accountId)
        .sign(new TextEncoder().encode(JWT_SECRET)),
    close: async () => {
      await worker.drain()
      await hub.close()
      await database.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
