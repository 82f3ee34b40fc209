import { argv, kill, pid, stdout } from 'node:process'
import type { NewEvent } from '../../src/core/events.ts'
import { countingEngines } from '../../src/jobs/bench.test-support.ts'
import { CountingEngine } from '../../src/jobs/counting-engine.test-support.ts'
import { Jobs } from '../../src/jobs/jobs.ts'
import { Worker } from '../../src/jobs/worker.ts'
import { systemClock } from '../../src/platform/clock.ts'
import { createIds } from '../../src/platform/ids.ts'
import { createLog } from '../../src/platform/log.ts'
import type { Database } from '../../src/store/database.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import { openSqlite } from '../../src/store/sqlite.ts'

// One worker process, for tests that kill and stop it. It says on standard
// output how far it is, a line each.

export interface WorkerProgramOptions {
  readonly records: { readonly file: string } | { readonly url: string }
  readonly folder: string
  /** Where to stand still for ever: before a step, or behind the publishing. */
  readonly holdAt: number | 'published' | null
  /** Where to end by its own hand, as `kill -9` does. */
  readonly dieAt?: DieAt
}

/** Right before or right behind the commit that has this event. */
export interface DieAt {
  readonly moment: 'before' | 'behind'
  readonly event: NewEvent['type']
}

const { records, folder, holdAt, dieAt } = JSON.parse(argv[2] ?? '{}') as WorkerProgramOptions

const say = (line: string) => void stdout.write(`${line}\n`)
const forEver = () => new Promise<void>(() => undefined)

const die = () => {
  kill(pid, 'SIGKILL')
  return forEver()
}

/** The store, with an end at the moment that is asked for. */
const mortal = (store: Database, { moment, event }: DieAt): Database => ({
  ...store,
  write: async (unit, options) => {
    let isIt = false
    const written = await store.write(async (tx) => {
      const append = (news: NewEvent) => {
        isIt ||= news.type === event
        tx.append(news)
      }
      const answer = await unit({ sql: tx.sql, append })
      if (isIt && moment === 'before') await die()
      return answer
    }, options)
    if (isIt && moment === 'behind') await die()
    return written
  },
})

const store = 'file' in records ? await openSqlite(records) : await openPostgres(records)
const database = dieAt === undefined ? store : mortal(store, dieAt)
const engine = new CountingEngine(folder, {
  onRun: (task, context) => {
    say(`run ${task.attempt} ${context.predecessorEnded ? 'after its end' : 'with caution'}`)
    context.signal.addEventListener('abort', () => say(`told ${context.signal.reason.why}`))
  },
  onStep: (_task, step) => {
    say(`step ${step}`)
    return step === holdAt ? forEver() : undefined
  },
  onPublished: () => {
    say('published')
    return holdAt === 'published' ? forEver() : undefined
  },
})
database.onEvents((events) => {
  for (const { type } of events) say(`event ${type}`)
})
const jobs = new Jobs({
  database,
  engines: countingEngines(engine),
  clock: systemClock,
  ids: createIds(systemClock),
  log: createLog('warn'),
})
const worker = new Worker({ jobs })
process.once('SIGTERM', async () => {
  await worker.drain()
  await database.close()
})
// A held engine keeps nothing open that would keep this process: a timer does.
const staying = setInterval(() => undefined, 60_000)
process.once('SIGTERM', () => clearInterval(staying))
await worker.start()
say('ready')
