import { isCertainlyGone, readProcessIdentity } from '../platform/process-identity.ts'
import { forgetPredecessors, listRunning, type RunKey } from '../store/operations.ts'
import {
  deleteAllWorkers,
  deleteEndedWorkers,
  endWorker,
  findWorker,
  listWorkers,
} from '../store/workers.ts'
import { reasons } from './reasons.ts'
import type { Room } from './room.ts'
import { type RunEnd, settleRun } from './settle.ts'
import { WorkerWatch } from './worker-watch.ts'

/**
 * Gives operations back to the queue whose worker is gone, and honours what was
 * asked of them meanwhile: a pause or cancel does not die with a worker.
 */
export class Recovery {
  readonly #room: Room
  readonly #watch: WorkerWatch
  /** Runs that this worker ought to have and does not, as of the last look. */
  #strays = new Set<string>()

  constructor(room: Room, options: { readonly vanishedAfterMs?: number } = {}) {
    this.#room = room
    this.#watch = new WorkerWatch(options.vanishedAfterMs)
  }

  /** For a store that only one process can open: every run on record has ended with an earlier process. */
  async recoverAll(): Promise<void> {
    const { database } = this.#room
    for (const run of await listRunning(database.sql)) {
      await this.#giveBack(run, { kind: 'lost', reason: reasons.restarted }, false)
    }
    await database.write(async (tx) => {
      await forgetPredecessors(tx)
      await deleteAllWorkers(tx)
    })
  }

  /** Looks at the beats of all workers, and takes the runs of those that vanished. */
  async look(workerId: string): Promise<void> {
    const { database, clock } = this.#room
    // First the runs: whoever claims enters its name before, so the worker of each of them is listed then.
    const running = await listRunning(database.sql)
    const workers = await listWorkers(database.sql)
    const others = workers.filter(({ id }) => id !== workerId)
    const silent = this.#watch.look(others, clock.monotonicMs())
    const here = readProcessIdentity()
    // A process of this machine that is gone beyond doubt need not be waited for.
    const gone = others.filter((worker) => isCertainlyGone(worker, here)).map(({ id }) => id)
    const vanished = [...new Set([...silent, ...gone])]
    for (const id of vanished) {
      this.#room.log.warn('a worker has vanished', { vanishedWorkerId: id })
      await database.write((tx) => endWorker(tx, id))
    }
    const alive = new Set(workers.map(({ id }) => id).filter((id) => !vanished.includes(id)))
    alive.add(workerId)
    for (const run of running) {
      if (run.workerId !== null && alive.has(run.workerId)) continue
      const mayStillRun = run.workerId !== null && !(await this.hasEnded(run.workerId))
      await this.#giveBack(run, { kind: 'lost', reason: reasons.vanished }, mayStillRun)
    }
    if (vanished.length > 0) await this.forgetEndedWorkers()
  }

  forgetEndedWorkers(): Promise<void> {
    return this.#room.database.write((tx) => deleteEndedWorkers(tx))
  }

  /**
   * Gives back runs on record as this worker's own that it knows nothing of: it
   * stopped them when it lost touch with the records. One that is seen twice is
   * no claim that is just being made.
   */
  async recoverStrays(workerId: string, known: ReadonlySet<string>): Promise<void> {
    const running = await listRunning(this.#room.database.sql)
    const strays = running.filter((run) => run.workerId === workerId && !known.has(run.id))
    const seenTwice = strays.filter((run) => this.#strays.has(strayKey(run)))
    this.#strays = new Set(strays.map(strayKey))
    for (const run of seenTwice) {
      // Its worker lives: that counts as little as a shutdown does.
      const end = { kind: 'stopped', reason: reasons.lost } as const
      await this.#giveBack(run, end, this.#room.busy.has(run.id))
    }
  }

  /** Whether a worker's process is gone beyond doubt, so that its files can be gone on with. */
  async hasEnded(workerId: string): Promise<boolean> {
    const worker = await findWorker(this.#room.database.sql, workerId)
    return worker !== null && isCertainlyGone(worker, readProcessIdentity())
  }

  async #giveBack(run: RunKey, end: RunEnd, mayStillRun: boolean): Promise<void> {
    const settled = await settleRun(this.#room, run, {
      end,
      batch: null,
      isDiscarded: false,
      mayStillRun,
    })
    if (settled === null) return // it has ended by itself, or somebody else was faster
    const { id, status, statusReason } = settled
    this.#room.log.info('an operation was recovered', { operationId: id, status, statusReason })
  }
}

const strayKey = ({ id, attempt }: RunKey): string => `${id}/${attempt}`
