import type { Caller } from '../core/account.ts'
import { AppError, snapshotNotFound, subjectBusy } from '../core/errors.ts'
import { LIVE_STATUSES } from '../core/operation.ts'
import { listedAccount, sees } from '../core/permissions.ts'
import type { Snapshot } from '../core/snapshot.ts'
import type { SnapshotContent, SnapshotPage, SnapshotReader } from '../engines/engine.ts'
import type { Log } from '../platform/log.ts'
import type { Database, WriteTransaction } from '../store/database.ts'
import { listOperations } from '../store/operations.ts'
import { deleteRemoval, insertRemoval, listRemovals } from '../store/removals.ts'
import type { Page, PageRequest } from '../store/rows.ts'
import {
  deleteSnapshot,
  findSnapshot,
  listSnapshots,
  setSnapshotPinned,
} from '../store/snapshots.ts'
import { type ChangeTeller, tellChange } from './changes.ts'

export interface SnapshotsOptions extends ChangeTeller {
  readonly database: Database
  /** By format. */
  readonly readers: ReadonlyMap<string, SnapshotReader>
  readonly log: Pick<Log, 'warn'>
}

export interface SnapshotListQuery extends PageRequest {
  readonly sourceId?: string
  readonly poolId?: string
  /** Heard from admins only. */
  readonly accountId?: string | null
}

/** What finished backups left: to look into, to pin, to remove. */
export class Snapshots {
  readonly #database: Database
  readonly #readers: ReadonlyMap<string, SnapshotReader>
  readonly #teller: ChangeTeller
  readonly #log: Pick<Log, 'warn'>

  constructor(options: SnapshotsOptions) {
    this.#database = options.database
    this.#readers = options.readers
    this.#teller = options
    this.#log = options.log
  }

  async get(caller: Caller, id: string): Promise<Snapshot> {
    const snapshot = await findSnapshot(this.#database.sql, id)
    if (snapshot === null || !sees(caller, snapshot.accountId)) throw snapshotNotFound(id)
    return snapshot
  }

  /** Newest first. */
  list(caller: Caller, query: SnapshotListQuery): Promise<Page<Snapshot>> {
    const accountId = listedAccount(caller, query.accountId)
    return listSnapshots(this.#database.sql, { ...query, accountId })
  }

  /** One directory of it, page by page; `''` is its root. */
  async browse(
    caller: Caller,
    id: string,
    options: { readonly path: string; readonly cursor: string | null; readonly limit: number },
  ): Promise<SnapshotPage> {
    const snapshot = await this.get(caller, id)
    return this.#readerOf(snapshot).browse(snapshot, options)
  }

  /** One file, by its path or the bytes of that. */
  async file(caller: Caller, id: string, path: string | Buffer): Promise<SnapshotContent> {
    const snapshot = await this.get(caller, id)
    return this.#readerOf(snapshot).file(snapshot, path)
  }

  /** The archive as it rests in its pool. */
  async whole(caller: Caller, id: string): Promise<SnapshotContent> {
    const snapshot = await this.get(caller, id)
    return this.#readerOf(snapshot).whole(snapshot)
  }

  pin(caller: Caller, id: string): Promise<Snapshot> {
    return this.#setPinned(caller, id, true)
  }

  unpin(caller: Caller, id: string): Promise<Snapshot> {
    return this.#setPinned(caller, id, false)
  }

  async #setPinned(caller: Caller, id: string, pinned: boolean): Promise<Snapshot> {
    const snapshot = { ...(await this.get(caller, id)), pinned }
    await this.#database.write(async (tx) => {
      if (!(await setSnapshotPinned(tx, id, pinned))) throw snapshotNotFound(id)
      const action = pinned ? 'snapshot.pin' : 'snapshot.unpin'
      await tellChange(tx, this.#teller, changeOf(caller, snapshot, 'changed', action))
    })
    return snapshot
  }

  /**
   * Removes a snapshot and its objects; refused while it is pinned or a live
   * operation works with it. From the commit on it is not there for anybody;
   * its objects go right after. What a crash or a pool that is away leaves of
   * them is remembered for `finishRemovals`.
   */
  async remove(caller: Caller, id: string): Promise<void> {
    const snapshot = await this.get(caller, id)
    this.#readerOf(snapshot)
    await this.#database.write(async (tx) => {
      await assertUnpinned(tx, id)
      // Before the look for operations: from here on a submission that names it waits, and finds it gone.
      if (!(await deleteSnapshot(tx, id))) throw snapshotNotFound(id)
      await assertIdle(tx, id)
      await insertRemoval(tx, snapshot)
      await tellChange(tx, this.#teller, changeOf(caller, snapshot, 'deleted', 'snapshot.remove'))
    })
    await this.#removeObjects(snapshot)
  }

  /** Removes the objects that earlier removals have left behind. Call it at start. */
  async finishRemovals(): Promise<void> {
    let after = ''
    for (;;) {
      const left = await listRemovals(this.#database.sql, { after, limit: 100 })
      for (const snapshot of left) await this.#removeObjects(snapshot)
      const last = left.at(-1)
      if (last === undefined) return
      after = last.id
    }
  }

  async #removeObjects(snapshot: Snapshot): Promise<void> {
    try {
      await this.#readerOf(snapshot).remove(snapshot)
    } catch (error) {
      const { id, poolId } = snapshot
      this.#log.warn('objects of a removed snapshot are left for later', { id, poolId, error })
      return
    }
    // Doing it twice does no harm, so it need not survive a power cut.
    await this.#database.write((tx) => deleteRemoval(tx, snapshot.id), { durable: false })
  }

  #readerOf(snapshot: Snapshot): SnapshotReader {
    const reader = this.#readers.get(snapshot.format)
    if (reader !== undefined) return reader
    throw new AppError(
      'unavailable',
      `this server cannot read snapshots of the format ${snapshot.format}`,
      { snapshotId: snapshot.id, format: snapshot.format },
    )
  }
}

async function assertUnpinned(tx: WriteTransaction, id: string): Promise<void> {
  const snapshot = await findSnapshot(tx.sql, id)
  if (snapshot?.pinned !== true) return
  throw new AppError('conflict', `the snapshot ${id} is pinned; unpin it first`, {
    snapshotId: id,
  })
}

async function assertIdle(tx: WriteTransaction, snapshotId: string): Promise<void> {
  const query = { accountId: null, snapshotId, statuses: LIVE_STATUSES, limit: 1, cursor: null }
  const [holder] = (await listOperations(tx.sql, query)).items
  if (holder !== undefined) throw subjectBusy(`snapshot ${snapshotId}`, holder.id)
}

const changeOf = (
  caller: Caller,
  snapshot: Snapshot,
  type: 'changed' | 'deleted',
  action: string,
) =>
  ({
    caller,
    topic: 'snapshot',
    topicId: snapshot.id,
    accountId: snapshot.accountId,
    type,
    action,
    data: { sourceId: snapshot.sourceId, pinned: snapshot.pinned },
  }) as const
