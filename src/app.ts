import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Auth } from './auth/auth.ts'
import { Devices } from './catalog/devices.ts'
import { StoredPoolRecords } from './catalog/pool-records.ts'
import { Snapshots } from './catalog/snapshots.ts'
import { openSource } from './catalog/source-configs.ts'
import { Sources } from './catalog/sources.ts'
import type { Config } from './config.ts'
import { createArchive } from './engines/archive/archive.ts'
import { startServer } from './faces/server.ts'
import { Jobs } from './jobs/jobs.ts'
import { Worker } from './jobs/worker.ts'
import { Hub } from './live/hub.ts'
import { type Clock, systemClock } from './platform/clock.ts'
import { makeFolder, realPathOf } from './platform/files.ts'
import { createIds, type Ids } from './platform/ids.ts'
import { acquireInstanceLock, type InstanceLock } from './platform/instance-lock.ts'
import type { Log } from './platform/log.ts'
import { openSecrets, randomToken, readOrCreateSecret } from './platform/secrets.ts'
import { readVersion } from './platform/version.ts'
import { DEFAULT_POOL_ID, Pools } from './pools/pools.ts'
import type { Database } from './store/database.ts'
import { openPostgres } from './store/postgres.ts'
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
  /** Whether this start made the admin token: it is to be shown now. */
  readonly isAdminTokenNew: boolean
  /** `null` where the records are shared: then other processes may use the folder, too. */
  readonly lock: InstanceLock | null
  /** Brings what runs to a checkpoint, then lets go of everything. */
  close(): Promise<void>
}

export interface App {
  readonly url: string
  /** The dashboard, with a code that signs in once. */
  signInUrl(): Promise<string>
  /** Only when this start made it: it is shown once. */
  readonly adminToken: string | null
  close(): Promise<void>
}

interface OpenOptions {
  readonly log: Log
  readonly clock?: Clock
}

/** Opens the records of a data folder. The embedded database has one process at a time. */
export async function openCore(config: Config, options: OpenOptions): Promise<Core> {
  const { log, clock = systemClock } = options
  await makeFolder(config.dataFolder)
  const lock =
    config.databaseUrl === null ? await acquireInstanceLock(config.dataFolder, clock) : null
  const closers: (() => Promise<void>)[] = lock === null ? [] : [() => lock.release()]
  try {
    const database = await openDatabase(config, log)
    closers.unshift(() => database.close())
    const core = await buildCore(config, { database, clock, log, ids: createIds(clock), closers })
    return { ...core, lock, close: () => closeAll(closers) }
  } catch (error) {
    await closeAll(closers)
    throw error
  }
}

const openDatabase = (config: Config, log: Log): Promise<Database> =>
  config.databaseUrl === null
    ? openSqlite({ file: join(config.dataFolder, 'holdfast.sqlite'), log })
    : openPostgres({ url: config.databaseUrl, log })

interface Ground {
  readonly database: Database
  readonly clock: Clock
  readonly log: Log
  readonly ids: Ids
  /** What is to be closed, in that order. */
  readonly closers: (() => Promise<void>)[]
}

async function buildCore(
  config: Config,
  { database, clock, log, ids, closers }: Ground,
): Promise<Omit<Core, 'lock' | 'close'>> {
  const { dataFolder } = config
  const ground = { database, clock, ids, log }
  const secrets = await openSecrets(join(dataFolder, 'secrets.key'))
  const keys = await openKeys(config)
  const pools = new Pools({
    ...ground,
    records: new StoredPoolRecords(ground),
    dataFolder,
    reserveBytes: config.poolReserveBytes,
  })
  // What no source may hold and no restore may touch: a pool must never end up in itself.
  const dataReal = await realPathOf(dataFolder)
  const ownFolders = async () => [dataReal, ...(await pools.folders())]
  const archive = createArchive({
    pools,
    clock,
    forbiddenRoots: await ownFolders(),
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
    sources: new Sources({ ...ground, secrets, snapshots, ownFolders }),
    devices: new Devices(ground),
    auth: new Auth({ ...ground, jwtSecret: keys.jwtSecret, adminToken: keys.adminToken }),
    adminToken: keys.adminToken,
    isAdminTokenNew: keys.isAdminTokenNew,
  }
}

/** Run contract: each is generated once into the data folder where it is not given. */
async function openKeys(config: Config) {
  const adminFile = join(config.dataFolder, 'admin-token')
  const isAdminTokenNew = config.adminToken === null && !existsSync(adminFile)
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
      await core.worker.start()
    }
    await core.lock?.announce(server.url)
    return {
      url: server.url,
      adminToken: core.isAdminTokenNew ? core.adminToken : null,
      signInUrl: async () => {
        const { code } = await core.auth.createSignInLink(await core.auth.adminCaller())
        return `${server.url}/sign-in#code=${code}`
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
const checksOf = ({ database, pools }: Core) => ({
  database: async () => {
    await database.sql.selectFrom('workers').select('id').limit(1).execute()
  },
  pool: async () => {
    const pool = await pools.open(DEFAULT_POOL_ID)
    await pool.assertRoom(0)
    await writeFile(await pool.stage(HEALTH_FILE), 'ok')
    await pool.discard(HEALTH_FILE)
  },
})
