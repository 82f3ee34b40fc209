import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ADMIN_ACCOUNT_ID, Auth } from './auth/auth.ts'
import { Devices } from './catalog/devices.ts'
import { StoredPoolRecords } from './catalog/pool-records.ts'
import { Snapshots } from './catalog/snapshots.ts'
import { openSource } from './catalog/source-configs.ts'
import { Sources } from './catalog/sources.ts'
import { type Config, weakKeys } from './config.ts'
import { isFinal } from './core/operation.ts'
import { isAdmin } from './core/permissions.ts'
import { type Archive, createArchive } from './engines/archive/archive.ts'
import type { EngineTask } from './engines/engine.ts'
import { startServer } from './faces/server.ts'
import { Jobs } from './jobs/jobs.ts'
import { Worker } from './jobs/worker.ts'
import { Hub } from './live/hub.ts'
import { type Clock, systemClock } from './platform/clock.ts'
import { keepDatabasePrivate, openDataFolder } from './platform/data-folder.ts'
import { realPathOf, writeFileDurably } from './platform/files.ts'
import { createIds, type Ids } from './platform/ids.ts'
import { acquireInstanceLock, type InstanceLock } from './platform/instance-lock.ts'
import type { Log } from './platform/log.ts'
import { RootPolicy } from './platform/root-policy.ts'
import { openSecrets, randomToken, readOrCreateSecret } from './platform/secrets.ts'
import { readVersion } from './platform/version.ts'
import { DEFAULT_POOL_ID, Pools } from './pools/pools.ts'
import type { Database } from './store/database.ts'
import { findOperation } from './store/operations.ts'
import { openPostgres } from './store/postgres.ts'
import { listSources } from './store/sources.ts'
import { openSqlite } from './store/sqlite.ts'

/** The services over one set of records, without a listener. */
export interface Core {
  readonly database: Database
  readonly jobs: Jobs
  readonly worker: Worker
  readonly sources: Sources
  readonly devices: Devices
  readonly snapshots: Snapshots
  readonly pools: Pools
  readonly auth: Auth
  readonly adminToken: string
  /** Whether the admin token is ours, and no server has shown it yet. */
  readonly isAdminTokenNew: boolean
  /** Removes what ended operations left staged. Call it before the worker starts. */
  sweep(): Promise<void>
  /** `null` where the records are shared: then other processes may use the folder, too. */
  readonly lock: InstanceLock | null
  /** Brings what runs to a checkpoint, then lets go of everything. */
  close(): Promise<void>
}

export interface App {
  readonly url: string
  /** The dashboard, with a code that signs in once. */
  signInUrl(): Promise<string>
  /** As long as it was never shown: whatever made it, a server or a command before. */
  readonly adminToken: string | null
  /** It was shown now. */
  adminTokenShown(): Promise<void>
  close(): Promise<void>
}

interface OpenOptions {
  readonly log: Log
  readonly clock?: Clock
}

/** Opens the records of a data folder. The embedded database has one process at a time. */
export async function openCore(config: Config, options: OpenOptions): Promise<Core> {
  const { log, clock = systemClock } = options
  await openDataFolder(config.dataFolder)
  const lock =
    config.databaseUrl === null ? await acquireInstanceLock(config.dataFolder, clock) : null
  const closers: (() => Promise<void>)[] = lock === null ? [] : [() => lock.release()]
  try {
    const database = await openDatabase(config, log)
    closers.unshift(() => database.close())
    const isAlone = lock !== null
    const ids = createIds(clock)
    const core = await buildCore(config, { database, clock, log, ids, isAlone, closers })
    return { ...core, lock, close: () => closeAll(closers) }
  } catch (error) {
    await closeAll(closers)
    throw error
  }
}

async function openDatabase(config: Config, log: Log): Promise<Database> {
  if (config.databaseUrl !== null) return openPostgres({ url: config.databaseUrl, log })
  const file = join(config.dataFolder, 'holdfast.sqlite')
  await keepDatabasePrivate(file)
  return openSqlite({ file, log })
}

interface Ground {
  readonly database: Database
  readonly clock: Clock
  readonly log: Log
  readonly ids: Ids
  /** No other process works on these records, and none that did is left. */
  readonly isAlone: boolean
  /** What is to be closed, in that order. */
  readonly closers: (() => Promise<void>)[]
}

async function buildCore(
  config: Config,
  { database, clock, log, ids, isAlone, closers }: Ground,
): Promise<Omit<Core, 'lock' | 'close'>> {
  const { dataFolder } = config
  const ground = { database, clock, ids, log }
  const secrets = await openSecrets(join(dataFolder, 'secrets.key'))
  const keys = await openKeys(config)
  const roots = new RootPolicy(config.roots)
  const pools = new Pools({
    ...ground,
    records: new StoredPoolRecords(ground),
    dataFolder,
    reserveBytes: config.poolReserveBytes,
    sourceFolders: () => protectedFolders(database),
    assertAllowedPath: (caller, path) =>
      roots.assertAllowed({ accountId: caller.accountId, isAdmin: isAdmin(caller) }, path),
  })
  // What no source may hold and no restore may touch: a pool must never end up in itself.
  const dataReal = await realPathOf(dataFolder)
  const toReal = keepRealPaths(clock)
  const ownFolders = async () => [
    dataReal,
    ...(await Promise.all((await pools.folders()).map(toReal))),
  ]
  const archive = createArchive({
    pools,
    clock,
    forbiddenRoots: ownFolders,
    assertAllowedPath: (task, realPath, given) =>
      roots.assertAllowed({ accountId: task.accountId, isAdmin: mayUseAll(task) }, realPath, given),
    cacheFolder: join(dataFolder, 'cache'),
  })
  closers.unshift(() => archive.close())
  const snapshots = new Snapshots({ ...ground, readers: new Map([['archive', archive.reader]]) })
  const jobs = new Jobs({
    ...ground,
    engines: new Map([
      ['backup:directory', archive.backup],
      ['restore:archive', archive.restore],
      ['verify:archive', archive.verify],
    ]),
    openSource: (source) => openSource(secrets, source),
    defaultPoolId: DEFAULT_POOL_ID,
  })
  const worker = new Worker({ jobs, concurrency: config.workerConcurrency })
  closers.unshift(() => worker.drain())
  return {
    database,
    jobs,
    worker,
    snapshots,
    pools,
    sweep: () => sweepPools({ pools, archive, database, log, isAlone, nowMs: clock.nowMs() }),
    sources: new Sources({ ...ground, secrets, snapshots, ownFolders, roots }),
    devices: new Devices(ground),
    auth: new Auth({ ...ground, jwtSecret: keys.jwtSecret, adminToken: keys.adminToken }),
    adminToken: keys.adminToken,
    isAdminTokenNew: keys.isAdminTokenNew,
  }
}

const REAL_PATHS_KEPT_MS = 1_000

/** Every submission asks for the same few: what they lead to is not looked up for each of a burst. */
function keepRealPaths(clock: Clock): (path: string) => Promise<string> {
  const kept = new Map<string, { readonly real: Promise<string>; readonly atMs: number }>()
  return (path) => {
    const nowMs = clock.monotonicMs()
    const known = kept.get(path)
    if (known !== undefined && nowMs - known.atMs < REAL_PATHS_KEPT_MS) return known.real
    const real = realPathOf(path)
    kept.set(path, { real, atMs: nowMs })
    return real
  }
}

/** Of every account. */
async function protectedFolders(database: Database): Promise<readonly string[]> {
  const folders: string[] = []
  let cursor: string | null = null
  do {
    const query = { accountId: null, kind: 'directory', limit: 500, cursor } as const
    const page: Awaited<ReturnType<typeof listSources>> = await listSources(database.sql, query)
    for (const { config } of page.items) {
      if (typeof config['path'] === 'string') folders.push(config['path'])
    }
    cursor = page.nextCursor
  } while (cursor !== null)
  return folders
}

/** What the admin's own account protects was named by an admin, whoever starts its backup. */
const mayUseAll = (task: Pick<EngineTask, 'accountId' | 'byAdmin' | 'kind'>): boolean =>
  task.byAdmin === true || (task.kind === 'backup' && task.accountId === ADMIN_ACCOUNT_ID)

const DAY_MS = 24 * 60 * 60 * 1000

interface Sweep {
  readonly pools: Pools
  readonly archive: Archive
  readonly database: Database
  readonly log: Log
  readonly isAlone: boolean
  readonly nowMs: number
}

/** Where other processes share the records, a run of theirs may not know yet that its operation has ended. */
async function sweepPools({ pools, archive, database, log, isAlone, nowMs }: Sweep): Promise<void> {
  const isOver = async (id: string) => {
    const operation = await findOperation(database.sql, id)
    return operation !== null && isFinal(operation.status)
  }
  const unchangedSinceMs = isAlone ? null : nowMs - DAY_MS
  for (const poolId of await pools.ids()) {
    try {
      const count = await archive.sweep(poolId, { isOver, unchangedSinceMs })
      if (count > 0) log.info('removed what ended operations had left staged', { poolId, count })
    } catch (error) {
      log.warn('could not look for what ended operations left staged', { poolId, error })
    }
  }
}

/** Stands beside the admin token once a server has shown it. */
const shownFileOf = ({ dataFolder }: Config): string => join(dataFolder, 'admin-token-shown')

/** Run contract: each is generated once into the data folder where it is not given. */
async function openKeys(config: Config) {
  const adminFile = join(config.dataFolder, 'admin-token')
  const isAdminTokenNew = config.adminToken === null && !existsSync(shownFileOf(config))
  return {
    isAdminTokenNew,
    adminToken:
      config.adminToken ?? (await readOrCreateSecret(adminFile, () => `hfa_${randomToken()}`)),
    jwtSecret:
      config.jwtSecret ??
      (await readOrCreateSecret(join(config.dataFolder, 'jwt-secret'), randomToken)),
  }
}

/** Everything is closed, also after a failure on the way. */
async function closeAll(closers: readonly (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = []
  for (const close of closers) {
    try {
      await close()
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, 'could not close everything')
}

/** Starts what HOLDFAST_ROLES names: the server with its faces, the worker, or both. */
export async function startApp(config: Config, options: OpenOptions): Promise<App> {
  const core = await openCore(config, options)
  for (const weakness of weakKeys(config)) options.log.warn(weakness)
  const closers = [() => core.close()]
  try {
    const { clock = systemClock, log } = options
    const hub = new Hub({
      database: core.database,
      onProgress: (listener) => core.jobs.onProgress(listener),
      log,
    })
    closers.unshift(() => hub.close())
    const server = await startServer({
      services: { ...core, hub, clock, log, checks: checksOf(core) },
      host: config.host,
      port: config.port,
      tls: config.tls,
      behindProxy: config.behindProxy,
      allowPlainHttp: config.allowPlainHttp,
      // A process without that role answers for its health alone.
      withFaces: config.roles.has('api'),
      allowedOrigins: config.allowedOrigins,
      webFolder: fileURLToPath(new URL('../packages/web/dist', import.meta.url)),
      version: readVersion(),
    })
    closers.unshift(() => server.close())
    // The faces listen before anything runs: they hear every event of it.
    if (config.roles.has('worker')) {
      await core.snapshots.finishRemovals()
      await core.sweep()
      await core.worker.start()
    }
    await core.lock?.announce(server.localUrl)
    return {
      url: server.url,
      adminToken: core.isAdminTokenNew ? core.adminToken : null,
      adminTokenShown: () => writeFileDurably(shownFileOf(config), ''),
      signInUrl: async () => {
        const { code } = await core.auth.createSignInLink(await core.auth.adminCaller())
        return `${server.localUrl}/sign-in#code=${code}`
      },
      close: () => closeAll(closers),
    }
  } catch (error) {
    await closeAll(closers)
    throw error
  }
}

/** Staged and removed again: a folder that became read-only is not well. */
const HEALTH_FILE = `health-${process.pid}`

/** What `/healthz` asks: that the records answer, and that the disk takes what is written. */
const checksOf = ({ database, jobs, pools }: Core) => ({
  database: async () => {
    await database.sql.selectFrom('workers').select('id').limit(1).execute()
    await jobs.assertRecordsTaken()
  },
  pool: async () => {
    const pool = await pools.open(DEFAULT_POOL_ID)
    await pool.assertRoom(1)
    await writeFile(await pool.stage(HEALTH_FILE), 'ok')
    await pool.discard(HEALTH_FILE)
  },
})
