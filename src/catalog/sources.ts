import { isAbsolute } from 'node:path'
import type { Caller } from '../core/account.ts'
import { AppError, sourceNotFound, subjectBusy } from '../core/errors.ts'
import { isUuid } from '../core/ids.ts'
import type { JsonObject } from '../core/json.ts'
import type { SourceKind } from '../core/kinds.ts'
import { isRecordId, parseName } from '../core/names.ts'
import { LIVE_STATUSES } from '../core/operation.ts'
import { isAdmin, listedAccount, sees } from '../core/permissions.ts'
import type { Source } from '../core/source.ts'
import { RootPolicy } from '../platform/root-policy.ts'
import type { Secrets } from '../platform/secrets.ts'
import type { Database, WriteTransaction } from '../store/database.ts'
import { findDevice } from '../store/devices.ts'
import { listOperations } from '../store/operations.ts'
import type { Page, PageRequest } from '../store/rows.ts'
import { listSnapshots } from '../store/snapshots.ts'
import {
  deleteSource,
  findSource,
  insertSource,
  listSources,
  updateSource,
} from '../store/sources.ts'
import { type ChangeTeller, tellChange } from './changes.ts'
import { deviceNotFound } from './devices.ts'
import { assertDirectory } from './directory-check.ts'
import type { Snapshots } from './snapshots.ts'
import { hideSecrets, openSource, parseSourceConfig, sealConfig } from './source-configs.ts'

export interface SourcesOptions extends ChangeTeller {
  readonly database: Database
  readonly secrets: Secrets
  readonly snapshots: Snapshots
  /** The folders of this server, which no source may hold or lie in. */
  readonly ownFolders: () => Promise<readonly string[]>
  /** Which folders of this machine an account may name. Left out, all. */
  readonly roots?: RootPolicy
}

export interface SourceRequest {
  readonly id?: string
  readonly kind: SourceKind
  readonly name: string
  readonly deviceId?: string | null
  readonly config: JsonObject
}

export interface SourceUpdate {
  readonly name?: string
  readonly deviceId?: string | null
  /** Replaces the whole; a secret of `***` stays as it is. */
  readonly config?: JsonObject
}

export interface SourceListQuery extends PageRequest {
  readonly kind?: SourceKind
  readonly deviceId?: string
  /** Heard from admins only. */
  readonly accountId?: string | null
}

/** What is protected. Every answer hides the secrets. */
export class Sources {
  readonly #options: SourcesOptions

  constructor(options: SourcesOptions) {
    this.#options = options
  }

  async create(caller: Caller, request: SourceRequest): Promise<Source> {
    const { database, ids, clock } = this.#options
    const id = parseSourceId(request.id ?? ids.newId())
    const { kind } = request
    const config = await this.#parseConfig(caller, kind, request.config)
    const source: Source = {
      id,
      accountId: caller.accountId,
      kind,
      name: parseName(request.name),
      deviceId: request.deviceId ?? null,
      config: sealConfig(this.#options.secrets, { id, kind, config }, null),
      createdAtMs: clock.nowMs(),
    }
    await database.write(async (tx) => {
      await assertOwnDevice(tx, source)
      await insertSource(tx, source)
      await this.#tell(tx, caller, source, 'created', 'source.create')
    })
    return hideSecrets(source)
  }

  async get(caller: Caller, id: string): Promise<Source> {
    return hideSecrets(await this.#find(caller, id))
  }

  /** Newest first. */
  async list(caller: Caller, query: SourceListQuery): Promise<Page<Source>> {
    const accountId = listedAccount(caller, query.accountId)
    const page = await listSources(this.#options.database.sql, { ...query, accountId })
    return { ...page, items: page.items.map(hideSecrets) }
  }

  async update(caller: Caller, id: string, request: SourceUpdate): Promise<Source> {
    const { kind, config: before } = await this.#find(caller, id)
    const parsed =
      request.config === undefined
        ? null
        : await this.#parseConfig(caller, kind, request.config, before)
    return this.#options.database.write(async (tx) => {
      // Read again: two changes at once must not undo each other.
      const previous = await findSource(tx.sql, id)
      if (previous === null) throw sourceNotFound(id)
      const source: Source = {
        ...previous,
        name: request.name === undefined ? previous.name : parseName(request.name),
        deviceId: request.deviceId === undefined ? previous.deviceId : request.deviceId,
        config:
          parsed === null
            ? previous.config
            : sealConfig(this.#options.secrets, { id, kind, config: parsed }, previous.config),
      }
      await assertOwnDevice(tx, source)
      await updateSource(tx, source)
      await this.#tell(tx, caller, source, 'changed', 'source.change')
      return hideSecrets(source)
    })
  }

  /**
   * Stops protecting something; what was protected stays where it is. Refused
   * while operations work with it, and while it has snapshots: those are removed
   * only when that is asked for in so many words.
   */
  async remove(
    caller: Caller,
    id: string,
    { withSnapshots = false }: { readonly withSnapshots?: boolean } = {},
  ): Promise<void> {
    const source = await this.#find(caller, id)
    const { database } = this.#options
    await database.write((tx) => assertIdle(tx, id))
    if (withSnapshots) await this.#removeSnapshots(caller, id)
    await database.write(async (tx) => {
      await assertIdle(tx, id)
      await assertNoSnapshots(tx, id)
      if (!(await deleteSource(tx, id))) throw sourceNotFound(id)
      await this.#tell(tx, caller, source, 'deleted', 'source.remove')
    })
  }

  /** Whose source it is, for a face whose tokens name the source and not an account. */
  async ownerOf(id: string): Promise<string | null> {
    return (await findSource(this.#options.database.sql, id))?.accountId ?? null
  }

  /** With its secrets in the clear: for engines, never for a face. */
  async openForEngine(source: Source): Promise<Source> {
    return openSource(this.#options.secrets, source)
  }

  async #removeSnapshots(caller: Caller, sourceId: string): Promise<void> {
    const { database, snapshots } = this.#options
    const query = { accountId: null, sourceId, limit: 100 }
    // First all that could refuse, so that a pinned one keeps the others, too.
    for (let cursor: string | null = null, more = true; more; more = cursor !== null) {
      const page: Page<{ id: string; pinned: boolean }> = await listSnapshots(database.sql, {
        ...query,
        cursor,
      })
      const pinned = page.items.find((snapshot) => snapshot.pinned)
      if (pinned !== undefined) {
        throw new AppError(
          'conflict',
          `the snapshot ${pinned.id} of source ${sourceId} is pinned; unpin it first. Nothing was removed`,
          { sourceId, snapshotId: pinned.id },
        )
      }
      cursor = page.nextCursor
    }
    for (;;) {
      const { items } = await listSnapshots(database.sql, { ...query, cursor: null })
      if (items.length === 0) return
      for (const snapshot of items) await snapshots.remove(caller, snapshot.id)
    }
  }

  async #find(caller: Caller, id: string): Promise<Source> {
    const source = await findSource(this.#options.database.sql, id)
    if (source === null || !sees(caller, source.accountId)) throw sourceNotFound(id)
    return source
  }

  /** The folders that whoever asks may name, as real paths; `null` where there is no limit. */
  rootsOf(caller: Caller): Promise<readonly string[] | null> {
    return this.#roots().rootsFor(askerOf(caller))
  }

  /** Throws `forbidden` where whoever asks may not name this folder. */
  assertMayUse(caller: Caller, path: string): Promise<void> {
    return this.#roots().assertAllowed(askerOf(caller), path)
  }

  #roots(): RootPolicy {
    return this.#options.roots ?? new RootPolicy(null)
  }

  /** A path of `known` was accepted before: it may be away for now, such as an unplugged disk. */
  async #parseConfig(
    caller: Caller,
    kind: SourceKind,
    config: JsonObject,
    known: JsonObject = {},
  ): Promise<JsonObject> {
    const parsed = parseSourceConfig(kind, config)
    for (const name of PATH_FIELDS) {
      const path = parsed[name]
      if (typeof path !== 'string' || !isAbsolute(path) || path === known[name]) continue
      await this.assertMayUse(caller, path)
      if (kind === 'directory') await assertDirectory(path, await this.#options.ownFolders())
    }
    return parsed
  }

  #tell(
    tx: WriteTransaction,
    caller: Caller,
    source: Source,
    type: 'created' | 'changed' | 'deleted',
    action: string,
  ): Promise<void> {
    const { id, accountId, name, kind, deviceId } = source
    const data = { name, kind, deviceId }
    return tellChange(tx, this.#options, {
      caller,
      topic: 'source',
      topicId: id,
      accountId,
      type,
      action,
      data,
    })
  }
}

/** Where the config of a source, of whatever kind, names a folder of this machine. */
const PATH_FIELDS = ['path', 'from'] as const

const askerOf = (caller: Caller) => ({ accountId: caller.accountId, isAdmin: isAdmin(caller) })

/** contract 000, A5: an upper-case uuid is "accepted and lower-cased". */
function parseSourceId(id: string): string {
  if (isUuid(id)) return id.toLowerCase()
  if (isRecordId(id)) return id
  throw new AppError(
    'invalid',
    `not an id of a source: ${JSON.stringify(id.slice(0, 140))}; use 1 to 128 letters, digits, "_", "." and "-"`,
  )
}

async function assertOwnDevice(tx: WriteTransaction, { deviceId, accountId }: Source) {
  if (deviceId === null) return
  const device = await findDevice(tx.sql, deviceId)
  if (device?.accountId !== accountId) throw deviceNotFound(deviceId)
}

async function assertIdle(tx: WriteTransaction, id: string): Promise<void> {
  const query = { accountId: null, sourceId: id, statuses: LIVE_STATUSES, limit: 1, cursor: null }
  const [holder] = (await listOperations(tx.sql, query)).items
  if (holder !== undefined) throw subjectBusy(`source ${id}`, holder.id)
}

async function assertNoSnapshots(tx: WriteTransaction, id: string): Promise<void> {
  const query = { accountId: null, sourceId: id, limit: 1, cursor: null }
  const [snapshot] = (await listSnapshots(tx.sql, query)).items
  if (snapshot === undefined) return
  throw new AppError(
    'conflict',
    `the source ${id} has snapshots, which would be lost; remove them first, or remove the source with withSnapshots=true`,
    { sourceId: id, snapshotId: snapshot.id },
  )
}
