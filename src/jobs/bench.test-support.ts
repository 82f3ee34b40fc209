import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Caller } from '../core/account.ts'
import type { LoggedEvent } from '../core/events.ts'
import { isFinal, type Operation, type Status } from '../core/operation.ts'
import type { Engine } from '../engines/engine.ts'
import { type Clock, systemClock } from '../platform/clock.ts'
import { createIds } from '../platform/ids.ts'
import { createLog } from '../platform/log.ts'
import type { Database } from '../store/database.ts'
import { eventsSince } from '../store/event-log.ts'
import { insertSource } from '../store/sources.ts'
import { CountingEngine, type CountingHooks } from './counting-engine.test-support.ts'
import { Jobs } from './jobs.ts'
import type { JobsOptions } from './room.ts'
import { Worker, type WorkerOptions } from './worker.ts'

export type OpenDatabase = (folder: string) => Promise<Database>

const everyday = { permissions: ['*'], tokenId: null, expiresAtMs: null }
export const ann: Caller = { ...everyday, accountId: 'ann', name: 'Ann' }
export const bob: Caller = { ...everyday, accountId: 'bob', name: 'Bob' }
export const root: Caller = {
  accountId: 'root',
  name: 'Root',
  permissions: ['admin'],
  tokenId: null,
  expiresAtMs: null,
}

/** Engines by what the tests ask for; all of them count. */
export const countingEngines = (engine: Engine): ReadonlyMap<string, Engine> =>
  new Map(
    ['custom', 'backup:directory', 'restore:counting', 'verify:counting'].map((key) => [
      key,
      engine,
    ]),
  )

/** A service on a store of its own, with an engine whose way a test can watch and hold up. */
export class Bench {
  readonly folder: string
  readonly database: Database
  readonly jobs: Jobs
  /** May be changed while the engine runs. */
  readonly hooks: CountingHooks = {}
  readonly engine: CountingEngine
  readonly #workers: Worker[] = []

  constructor(folder: string, database: Database, clock: Clock) {
    this.folder = folder
    this.database = database
    this.engine = new CountingEngine(join(folder, 'work'), {
      onRun: (task, context) => this.hooks.onRun?.(task, context),
      onStep: (task, step) => this.hooks.onStep?.(task, step),
      onPublished: (task) => this.hooks.onPublished?.(task),
      onDiscard: (task, checkpoint) => this.hooks.onDiscard?.(task, checkpoint),
    })
    this.jobs = this.newJobs(clock)
  }

  static async open(openDatabase: OpenDatabase, clock: Clock = systemClock): Promise<Bench> {
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-jobs-'))
    return new Bench(folder, await openDatabase(folder), clock)
  }

  /** As another process on the same records has it. */
  newJobs(clock: Clock = systemClock, options: Partial<JobsOptions> = {}): Jobs {
    return new Jobs({
      database: this.database,
      engines: countingEngines(this.engine),
      clock,
      ids: createIds(clock),
      log: createLog('silent'),
      defaultPoolId: 'local',
      ...options,
    })
  }

  async startWorker(options: Partial<WorkerOptions> = {}): Promise<Worker> {
    const worker = new Worker({ jobs: this.jobs, ...options })
    this.#workers.push(worker)
    await worker.start()
    return worker
  }

  async addSource(id: string, accountId = 'ann'): Promise<string> {
    await this.database.write((tx) =>
      insertSource(tx, {
        id,
        accountId,
        kind: 'directory',
        name: id,
        deviceId: null,
        config: { path: '/nowhere' },
        createdAtMs: 1,
      }),
    )
    return id
  }

  end(id: string): Promise<Operation> {
    return this.jobs.waitForEnd(root, id, { timeoutMs: 10_000 })
  }

  /** Waits until the records show the status. */
  async until(id: string, status: Status): Promise<Operation> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const look = async () => {
      const operation = await this.jobs.get(root, id)
      if (operation.status === status || isFinal(operation.status)) resolve()
    }
    const stopListening = this.database.onEvents((events) => {
      if (events.some((event) => event.topicId === id)) void look()
    })
    await look()
    await promise
    stopListening()
    return this.jobs.get(root, id)
  }

  events(id: string): Promise<LoggedEvent[]> {
    return eventsSince(this.database.sql, { sinceSequence: 0, limit: 1_000, topicId: id })
  }

  /** What happened, without what happens in between. */
  async history(id: string): Promise<readonly string[]> {
    const events = await this.events(id)
    return events.map((event) => event.type).filter((type) => !['phase', 'warning'].includes(type))
  }

  async holds(): Promise<readonly string[]> {
    const rows = await this.database.sql.selectFrom('holds').select('subject').execute()
    return rows.map((row) => row.subject).sort()
  }

  async files(end: '.part' | '.done'): Promise<readonly string[]> {
    const names = await readdir(this.engine.folder).catch(() => [])
    return names.filter((name) => name.endsWith(end)).sort()
  }

  async close(): Promise<void> {
    for (const worker of this.#workers) await worker.drain()
    await this.database.close()
    await rm(this.folder, { recursive: true, force: true })
  }
}

/** Holds an engine up at a step until the test lets it go on. */
export function gateAt(bench: Bench, step: number): { reached: Promise<void>; open(): void } {
  const reached = Promise.withResolvers<void>()
  const opened = Promise.withResolvers<void>()
  bench.hooks.onStep = (_task, at) => {
    if (at !== step) return
    reached.resolve()
    return opened.promise
  }
  return { reached: reached.promise, open: opened.resolve }
}

export const ENDS = ['completed', 'failed', 'cancelled', 'expired']

export async function assertOneEnd(bench: Bench, id: string): Promise<void> {
  const history = await bench.history(id)
  const ends = history.filter((type) => ENDS.includes(type))
  if (ends.length !== 1 || history.at(-1) !== ends[0]) {
    throw new Error(`operation ${id} has ${ends.length} ends: ${history.join(', ')}`)
  }
}
