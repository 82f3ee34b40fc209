import type { Caller } from '../core/account.ts'
import { AppError, poolNotFound } from '../core/errors.ts'
import { LIVE_STATUSES } from '../core/operation.ts'
import type { PoolRecord, PoolUsage } from '../core/pool.ts'
import type { Database } from '../store/database.ts'
import {
  deletePool,
  findPool,
  insertPool,
  listPools,
  type PoolQuery,
  updatePool,
} from '../store/pools.ts'
import type { Page } from '../store/rows.ts'
import { type ChangeTeller, tellChange } from './changes.ts'

/** The records that `Pools` keeps, over the store. */
export class StoredPoolRecords {
  readonly #database: Database
  readonly #teller: ChangeTeller

  constructor(options: ChangeTeller & { readonly database: Database }) {
    this.#database = options.database
    this.#teller = options
  }

  find(id: string): Promise<PoolRecord | null> {
    return findPool(this.#database.sql, id)
  }

  list(query: PoolQuery): Promise<Page<PoolRecord>> {
    return listPools(this.#database.sql, query)
  }

  async insert(caller: Caller, record: PoolRecord): Promise<void> {
    await this.#database.write(async (tx) => {
      await insertPool(tx, record)
      await tellChange(tx, this.#teller, changeOf(caller, record, 'created'))
    })
  }

  async update(caller: Caller, record: PoolRecord): Promise<void> {
    await this.#database.write(async (tx) => {
      if (!(await updatePool(tx, record))) throw poolNotFound(record.id)
      await tellChange(tx, this.#teller, changeOf(caller, record, 'changed'))
    })
  }

  async delete(caller: Caller, record: PoolRecord): Promise<void> {
    await this.#database.write(async (tx) => {
      const held = await tx.sql
        .selectFrom('snapshots')
        .select('id')
        .where('pool_id', '=', record.id)
        .limit(1)
        .executeTakeFirst()
      if (held !== undefined) {
        throw new AppError(
          'conflict',
          `snapshots rest in the pool ${record.id}, such as ${held.id}; remove them first`,
          { poolId: record.id, snapshotId: held.id },
        )
      }
      const live = await tx.sql
        .selectFrom('operations')
        .select('id')
        .where('pool_id', '=', record.id)
        .where('status', 'in', [...LIVE_STATUSES])
        .limit(1)
        .executeTakeFirst()
      if (live !== undefined) {
        throw new AppError(
          'conflict',
          `the pool ${record.id} is busy: operation ${live.id} works with it; wait for its end or cancel it`,
          { poolId: record.id, operationId: live.id },
        )
      }
      if (!(await deletePool(tx, record.id))) throw poolNotFound(record.id)
      await tellChange(tx, this.#teller, changeOf(caller, record, 'deleted'))
    })
  }

  async usage(poolId: string): Promise<PoolUsage> {
    const row = await this.#database.sql
      .selectFrom('snapshots')
      .select(({ fn }) => [
        fn.countAll<number>().as('snapshotCount'),
        fn.sum<number | string | null>('bytes').as('usedBytes'),
      ])
      .where('pool_id', '=', poolId)
      .executeTakeFirst()
    // PostgreSQL answers sums as text: they may be beyond what a number holds.
    return {
      usedBytes: Number(row?.usedBytes ?? 0),
      snapshotCount: Number(row?.snapshotCount ?? 0),
    }
  }
}

const ACTIONS = {
  created: 'pool.create',
  changed: 'pool.change',
  deleted: 'pool.remove',
} as const

const changeOf = (caller: Caller, record: PoolRecord, type: keyof typeof ACTIONS) =>
  ({
    caller,
    topic: 'pool',
    topicId: record.id,
    accountId: record.accountId ?? caller.accountId,
    type,
    action: ACTIONS[type],
    data: { name: record.name, kind: record.kind },
  }) as const
