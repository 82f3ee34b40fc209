import { stat } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import type { Caller } from '../core/account.ts'
import { AppError, poolNotFound } from '../core/errors.ts'
import type { JsonObject } from '../core/json.ts'
import { isRecordId, parseName } from '../core/names.ts'
import { isAdmin, listedAccount } from '../core/permissions.ts'
import type { PoolRecord, PoolUsage } from '../core/pool.ts'
import type { Clock } from '../platform/clock.ts'
import { makeFolder, realPathOf, systemCodeOf } from '../platform/files.ts'
import { overlapOf } from '../platform/folder-identity.ts'
import type { Ids } from '../platform/ids.ts'
import { LocalPool } from './local.ts'
import type { Pool, PoolDirectory } from './pool.ts'

export const DEFAULT_POOL_ID = 'local'

/** Where pools are recorded; the catalog keeps it over the store. */
export interface PoolRecords {
  find(id: string): Promise<PoolRecord | null>
  /** Those of an account and of everybody; `null`: all. Newest first. */
  list(query: {
    readonly accountId: string | null
    readonly limit: number
    readonly cursor: string | null
  }): Promise<{ readonly items: readonly PoolRecord[]; readonly nextCursor: string | null }>
  /** Throws `conflict` where the id is taken. */
  insert(caller: Caller, record: PoolRecord): Promise<void>
  /** Replaces the record of that id; throws `not_found` where there is none. */
  update(caller: Caller, record: PoolRecord): Promise<void>
  /** Throws `conflict` while snapshots rest in it or operations work with it. */
  delete(caller: Caller, record: PoolRecord): Promise<void>
  usage(poolId: string): Promise<PoolUsage>
}

export interface PoolsOptions {
  readonly records: PoolRecords
  readonly dataFolder: string
  readonly clock: Pick<Clock, 'nowMs'>
  readonly ids: Ids
  /** The folders that are protected, by whoever: a pool in one, or around it, would be archived into itself. */
  readonly sourceFolders?: () => Promise<readonly string[]>
  /** Throws `forbidden` where a caller may not use a folder of this machine. Left out, all may use all. */
  readonly assertAllowedPath?: (caller: Caller, path: string) => Promise<void>
  /** Room that stays free on the disk of each local pool. */
  readonly reserveBytes?: number
  /** What opens the records of other kinds than `local`. */
  readonly kinds?: ReadonlyMap<string, PoolKind>
}

export interface PoolKind {
  /** Checks what a person asked for, and answers the config to keep. */
  parse(config: JsonObject, caller: Caller): Promise<JsonObject>
  open(record: PoolRecord): Pool
}

export interface PoolRequest {
  readonly id?: string
  readonly name: string
  readonly kind: string
  readonly config: JsonObject
  /** Everybody of this server may use it; asked by admins only. */
  readonly shared?: boolean
}

/** A pool as people see it. */
export interface PoolView extends PoolRecord, PoolUsage {
  /** `null` where nobody can know, also while it cannot be reached. */
  readonly freeBytes: number | null
}

/** The pools of this server. The one called `local`, in the data folder, is always there. */
export class Pools implements PoolDirectory {
  readonly defaultPoolId = DEFAULT_POOL_ID
  readonly #options: PoolsOptions
  readonly #kinds: ReadonlyMap<string, PoolKind>
  readonly #opened = new Map<string, Pool>()

  constructor(options: PoolsOptions) {
    this.#options = options
    const local: PoolKind = {
      parse: (config, caller) => this.#parseLocal(config, caller),
      open: ({ id, config }) => this.#openLocal(id, localPathOf(config)),
    }
    this.#kinds = new Map([...(options.kinds ?? []), ['local', local]])
  }

  async open(poolId: string): Promise<Pool> {
    const known = this.#opened.get(poolId)
    if (known !== undefined) return known
    const record = await this.#find(poolId)
    const pool = this.#kindOf(record.kind).open(record)
    this.#opened.set(poolId, pool)
    return pool
  }

  async get(caller: Caller, poolId: string): Promise<PoolView> {
    return this.#view(await this.#findFor(caller, poolId))
  }

  /** The pool `local` stands first on the first page. */
  async list(
    caller: Caller,
    query: { readonly limit: number; readonly cursor: string | null },
  ): Promise<{ readonly items: readonly PoolView[]; readonly nextCursor: string | null }> {
    const { items, nextCursor } = await this.#options.records.list({
      accountId: listedAccount(caller),
      ...query,
    })
    const records = query.cursor === null ? [await this.#localRecord(), ...items] : items
    return { items: await Promise.all(records.map((record) => this.#view(record))), nextCursor }
  }

  async create(caller: Caller, request: PoolRequest): Promise<PoolView> {
    const id = request.id ?? this.#options.ids.newId()
    if (!isRecordId(id)) throw new AppError('invalid', `not an id of a pool: ${JSON.stringify(id)}`)
    if (id === DEFAULT_POOL_ID) throw new AppError('conflict', `the pool ${id} is always there`)
    if (request.shared && !isAdmin(caller)) {
      throw new AppError('forbidden', 'only an admin makes a pool that everybody may use')
    }
    const record: PoolRecord = {
      id,
      accountId: request.shared ? null : caller.accountId,
      name: parseName(request.name),
      kind: request.kind,
      config: await this.#kindOf(request.kind).parse(request.config, caller),
      createdAtMs: this.#options.clock.nowMs(),
    }
    await this.#options.records.insert(caller, record)
    return this.#view(record)
  }

  async rename(caller: Caller, poolId: string, name: string): Promise<PoolView> {
    const record = await this.#findFor(caller, poolId)
    if (poolId === DEFAULT_POOL_ID) {
      throw new AppError('conflict', `the pool ${poolId} is always called so`)
    }
    assertMayChange(caller, record)
    const renamed = { ...record, name: parseName(name) }
    await this.#options.records.update(caller, renamed)
    return this.#view(renamed)
  }

  /** Forgets a pool in which nothing rests. What lies in its folder stays there. */
  async remove(caller: Caller, poolId: string): Promise<void> {
    if (poolId === DEFAULT_POOL_ID) {
      throw new AppError('conflict', `the pool ${poolId} is always there; it cannot be removed`)
    }
    const record = await this.#findFor(caller, poolId)
    assertMayChange(caller, record)
    await this.#options.records.delete(caller, record)
    this.#opened.delete(poolId)
  }

  /** The folders of this machine that pools lie in: nobody may back them up into themselves. */
  async folders(): Promise<readonly string[]> {
    const folders = [this.#localFolder()]
    for await (const { kind, config } of this.#recorded()) {
      if (kind === 'local') folders.push(localPathOf(config))
    }
    return folders
  }

  /** The ids of all pools, whoever they belong to. */
  async ids(): Promise<readonly string[]> {
    const ids: string[] = [DEFAULT_POOL_ID]
    for await (const { id } of this.#recorded()) ids.push(id)
    return ids
  }

  async *#recorded(): AsyncGenerator<PoolRecord> {
    let cursor: string | null = null
    do {
      const page: Awaited<ReturnType<PoolRecords['list']>> = await this.#options.records.list({
        accountId: null,
        limit: 500,
        cursor,
      })
      yield* page.items
      cursor = page.nextCursor
    } while (cursor !== null)
  }

  #localFolder(): string {
    return join(this.#options.dataFolder, 'pool')
  }

  #openLocal(id: string, root: string): Pool {
    const { reserveBytes } = this.#options
    return new LocalPool(reserveBytes === undefined ? { id, root } : { id, root, reserveBytes })
  }

  async #localRecord(): Promise<PoolRecord> {
    const path = this.#localFolder()
    await makeFolder(path)
    const { birthtimeMs, mtimeMs } = await stat(path)
    const createdAtMs = Math.floor(birthtimeMs > 0 ? birthtimeMs : mtimeMs)
    const id = DEFAULT_POOL_ID
    return { id, accountId: null, name: 'Local', kind: 'local', config: { path }, createdAtMs }
  }

  async #parseLocal(config: JsonObject, caller: Caller): Promise<JsonObject> {
    const { dataFolder, sourceFolders, assertAllowedPath } = this.#options
    const path = parseLocalPath(config)
    const refused = (why: string) =>
      new AppError('invalid', `${path} ${why}; choose a folder beside it`)
    await assertAllowedPath?.(caller, path)
    if ((await overlapOf(path, dataFolder)) !== null) {
      throw refused('lies within the data folder of this server or holds it')
    }
    for (const folder of await this.folders()) {
      if ((await overlapOf(path, folder)) === null) continue
      throw refused('is the folder of another pool, lies in it or holds it')
    }
    for (const folder of (await sourceFolders?.()) ?? []) {
      if ((await overlapOf(path, folder).catch(unreachableIsApart)) === null) continue
      throw refused('lies in a folder that is protected here, or holds one')
    }
    try {
      const real = await realPathOf(path)
      await makeFolder(real)
      return { path: real }
    } catch (error) {
      const code = systemCodeOf(error)
      if (code === null) throw error
      const what = `no folder can be made at ${path} (${code}): choose another one`
      throw new AppError('invalid', what, {}, error)
    }
  }

  async #find(poolId: string): Promise<PoolRecord> {
    if (poolId === DEFAULT_POOL_ID) return this.#localRecord()
    const record = await this.#options.records.find(poolId)
    if (record === null) throw poolNotFound(poolId)
    return record
  }

  async #findFor(caller: Caller, poolId: string): Promise<PoolRecord> {
    const record = await this.#find(poolId)
    const visible =
      record.accountId === null || record.accountId === caller.accountId || isAdmin(caller)
    if (!visible) throw poolNotFound(poolId)
    return record
  }

  #kindOf(kind: string): PoolKind {
    const known = this.#kinds.get(kind)
    if (known !== undefined) return known
    throw new AppError(
      'invalid',
      `no pools of kind ${JSON.stringify(kind)} here; there are: ${[...this.#kinds.keys()].join(', ')}`,
    )
  }

  async #view(record: PoolRecord): Promise<PoolView> {
    const pool = await this.open(record.id)
    // A pool that cannot be reached now is still listed, and can be removed.
    const freeBytes = await pool.freeBytes().catch(() => null)
    return { ...record, ...(await this.#options.records.usage(record.id)), freeBytes }
  }
}

function assertMayChange(caller: Caller, { id, accountId }: PoolRecord): void {
  if (accountId !== null || isAdmin(caller)) return
  throw new AppError('forbidden', `the pool ${id} is everybody's; only an admin changes it`)
}

function localPathOf({ path }: JsonObject): string {
  if (typeof path === 'string') return path
  throw new Error('the record of a local pool holds no path')
}

/** A source on a disk that is away, or that may not be looked at, keeps nobody from making a pool. */
const unreachableIsApart = (error: unknown): null => {
  if (systemCodeOf(error) !== null) return null
  throw error
}

function parseLocalPath(config: JsonObject): string {
  const { path, ...rest } = config
  const unknown = Object.keys(rest)
  if (unknown.length > 0) {
    throw new AppError('invalid', `a local pool has no ${unknown.join(', ')}; it has a path`)
  }
  if (typeof path !== 'string' || !isAbsolute(path) || path.includes('\0')) {
    throw new AppError('invalid', `a local pool needs an absolute path: {"path": "/srv/backups"}`)
  }
  return path
}
