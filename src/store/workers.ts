import type { Kysely } from 'kysely'
import type { WriteTransaction } from './database.ts'
import type { Tables, WorkerRow } from './tables.ts'

/** A process that runs operations. */
export interface WorkerRecord {
  readonly id: string
  /** The machine, and the space its process ids count in. */
  readonly host: string
  readonly pid: number
  readonly bootId: string
  readonly beat: number
  readonly startedAtMs: number
}

/** The beat of a worker that others took for dead. Its own next beat finds this and stops. */
const BEAT_ENDED = -1

export async function insertWorker(tx: WriteTransaction, worker: WorkerRecord): Promise<void> {
  await tx.sql
    .insertInto('workers')
    .values({
      id: worker.id,
      host: worker.host,
      pid: worker.pid,
      boot_id: worker.bootId,
      beat: worker.beat,
      started_at_ms: worker.startedAtMs,
    })
    .execute()
}

/** Gives a sign of life. Answers false where others took this worker for dead. */
export async function beatWorker(tx: WriteTransaction, id: string): Promise<boolean> {
  const updated = await tx.sql
    .updateTable('workers')
    .set((eb) => ({ beat: eb('beat', '+', 1) }))
    .where('id', '=', id)
    .where('beat', '>=', 0)
    .executeTakeFirst()
  return updated.numUpdatedRows > 0n
}

export async function findWorker(sql: Kysely<Tables>, id: string): Promise<WorkerRecord | null> {
  const row = await sql.selectFrom('workers').selectAll().where('id', '=', id).executeTakeFirst()
  return row === undefined ? null : toWorker(row)
}

/** The workers that nobody took for dead, with their beats. */
export async function listWorkers(sql: Kysely<Tables>): Promise<readonly WorkerRecord[]> {
  const rows = await sql.selectFrom('workers').selectAll().where('beat', '>=', 0).execute()
  return rows.map(toWorker)
}

const toWorker = ({ id, host, pid, beat, ...row }: WorkerRow): WorkerRecord => ({
  id,
  host,
  pid,
  beat,
  bootId: row.boot_id,
  startedAtMs: row.started_at_ms,
})

/** Marks a worker as gone. The record stays: it tells a successor whether the process has really ended. */
export async function endWorker(tx: WriteTransaction, id: string): Promise<void> {
  await tx.sql.updateTable('workers').set({ beat: BEAT_ENDED }).where('id', '=', id).execute()
}

/** Removes workers that are gone and that no live operation asks about any more. */
export async function deleteEndedWorkers(tx: WriteTransaction): Promise<void> {
  await tx.sql
    .deleteFrom('workers')
    .where('beat', '=', BEAT_ENDED)
    .where((eb) =>
      eb.not(
        eb.exists(
          eb
            .selectFrom('operations')
            .select('operations.id')
            .whereRef('operations.worker_id', '=', 'workers.id')
            .where('operations.status', 'in', ['pending', 'running', 'paused']),
        ),
      ),
    )
    .execute()
}

/** Writes for nothing but to see that the store takes it; nobody ever sees it there. */
export async function probeWriting(tx: WriteTransaction, id: string): Promise<void> {
  await insertWorker(tx, { id, host: '', pid: 0, bootId: '', beat: BEAT_ENDED, startedAtMs: 0 })
  await tx.sql.deleteFrom('workers').where('id', '=', id).execute()
}

/** For a store that only one process can open: whoever is recorded is gone. */
export async function deleteAllWorkers(tx: WriteTransaction): Promise<void> {
  await tx.sql.deleteFrom('workers').execute()
}
