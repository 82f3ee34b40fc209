import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Operation } from '../../src/core/operation.ts'
import { ann, assertOneEnd, Bench, type OpenDatabase } from '../../src/jobs/bench.test-support.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import { openSqlite } from '../../src/store/sqlite.ts'
import { query, startPostgres, type TestPostgres } from '../support/postgres.ts'
import { eventually } from '../support/servers.ts'
import { WorkerProcess } from '../support/worker-process.ts'
import type { DieAt, WorkerProgramOptions } from './worker.test-program.ts'

// Goal: the commit that ends an operation is its only end, whatever moment of it the worker dies
// in. Method: a worker process that ends itself by SIGKILL right before or right behind that commit,
// or is killed while PostgreSQL is at it.

interface Records {
  readonly open: OpenDatabase
  /** For another process. */
  at(folder: string): WorkerProgramOptions['records']
}

async function withBench(
  { open, at }: Records,
  use: (bench: Bench, start: (dieAt?: DieAt) => WorkerProcess) => Promise<void>,
): Promise<void> {
  const bench = await Bench.open(open)
  const workers: WorkerProcess[] = []
  try {
    await use(bench, (dieAt) => {
      const where = { records: at(bench.folder), folder: bench.engine.folder, holdAt: null }
      const worker = new WorkerProcess(dieAt === undefined ? where : { ...where, dieAt })
      workers.push(worker)
      return worker
    })
  } finally {
    for (const worker of workers) await worker.end('SIGKILL')
    await bench.close()
  }
}

const INPUTS = {
  completed: { count: 4 },
  failed: { count: 4, failAtStep: 3 },
  cancelled: { count: 500, stepMs: 10 },
} as const

type End = keyof typeof INPUTS

/** How often it was run when it had its end. What was cancelled is not run again. */
const attemptsOf = (end: End, moment: DieAt['moment']): number =>
  moment === 'before' && end !== 'cancelled' ? 2 : 1

async function submitBackup(bench: Bench, end: End): Promise<string> {
  const sourceId = await bench.addSource('photos')
  return (await bench.jobs.submit(ann, { kind: 'backup', sourceId, input: INPUTS[end] })).id
}

/** As the records say: the embedded store tells another process nothing. */
const endOf = (bench: Bench, id: string): Promise<Operation> =>
  eventually(
    'it has ended',
    async () => {
      const operation = await bench.jobs.get(ann, id)
      return operation.finishedAtMs === null ? null : operation
    },
    10_000,
  )

/** One end, one snapshot at most, and nothing held or half-made. */
async function endedOnce(bench: Bench, id: string, end: End): Promise<void> {
  await assertOneEnd(bench, id)
  assert.equal((await bench.jobs.get(ann, id)).status, end)
  const snapshots = await bench.database.sql.selectFrom('snapshots').select('id').execute()
  assert.equal(snapshots.length, end === 'completed' ? 1 : 0)
  const isTidy = async () => ((await bench.holds()).length === 0 ? true : null)
  await eventually('nothing is held', isTidy, 10_000)
  assert.deepEqual(await bench.files('.part'), [])
}

function describeSettling(name: string, records: Records): void {
  describe(`the commit that ends an operation on ${name}`, () => {
    for (const end of ['completed', 'failed', 'cancelled'] as const) {
      for (const moment of ['before', 'behind'] as const) {
        test(`is the one end where the worker dies right ${moment} it: ${end}`, async () => {
          await withBench(records, async (bench, start) => {
            const id = await submitBackup(bench, end)
            const dying = start({ moment, event: end })
            await dying.until('step 2')
            if (end === 'cancelled') await bench.jobs.cancel(ann, id)
            await dying.ended
            const { status } = await bench.jobs.get(ann, id)
            assert.equal(status, moment === 'before' ? 'running' : end)
            const next = start()
            await next.until('ready')
            assert.equal((await endOf(bench, id)).attempt, attemptsOf(end, moment))
            await endedOnce(bench, id, end)
            assert.equal(await next.end('SIGTERM'), 0)
          })
        })
      }
    }
  })
}

describeSettling('the embedded store', {
  open: (folder) => openSqlite({ file: join(folder, 'records.db') }),
  at: (folder) => ({ file: join(folder, 'records.db') }),
})

describe('on PostgreSQL', () => {
  let server: TestPostgres
  let url = ''
  before(async () => {
    server = await startPostgres()
  })
  after(() => server.stop())

  const records: Records = {
    open: async () => {
      url = await server.createDatabase()
      return openPostgres({ url })
    },
    at: () => ({ url }),
  }
  describeSettling('PostgreSQL', records)

  test('a commit that is under way when the worker is killed is the one end', async () => {
    await withBench(records, async (bench, start) => {
      await query(url, SLOW_COMMIT)
      const id = await submitBackup(bench, 'completed')
      const dying = start()
      await dying.until('published')
      await eventually('the commit is under way', isCommitting, 10_000)
      await dying.end('SIGKILL')
      assert.equal((await bench.jobs.get(ann, id)).status, 'running', 'it was no longer under way')
      const next = start()
      await next.until('ready')
      assert.equal((await endOf(bench, id)).attempt, 1, 'the server went on with it by itself')
      await endedOnce(bench, id, 'completed')
      assert.equal(await next.end('SIGTERM'), 0)
    })
  })

  test('a commit that is cut off on the way is made again by the worker, and is the one end', async () => {
    await withBench(records, async (bench, start) => {
      await query(url, SLOW_COMMIT)
      const id = await submitBackup(bench, 'completed')
      const worker = start()
      await worker.until('published')
      const pid = await eventually('the commit is under way', isCommitting, 10_000)
      await query(url, `select pg_terminate_backend(${pid})`)
      assert.equal((await endOf(bench, id)).attempt, 1, 'the run is still its own')
      await endedOnce(bench, id, 'completed')
      assert.equal(await worker.end('SIGTERM'), 0)
    })
  })

  const isCommitting = async (): Promise<number | null> => {
    const { rows } = await query(
      url,
      "select pid from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'",
    )
    return rows[0]?.pid ?? null
  }
})

/** Makes the commit of a completion take a second: all of it is written by then. */
const SLOW_COMMIT = `
  create function sleep_a_while() returns trigger language plpgsql as
    $$ begin perform pg_sleep(1); return null; end $$;
  create constraint trigger slow_commit after insert on events deferrable initially deferred
    for each row when (new.type = 'completed') execute function sleep_a_while()`
