import {
  furtherProgress,
  isFinal,
  mergeOperation,
  type NewOperation,
  type RestoreRequest,
  type VerifyRequest,
} from '@holdfast/sdk'
import type { Core } from '../app.ts'
import type { Caller } from '../core/account.ts'
import { AppError } from '../core/errors.ts'
import type { JsonObject } from '../core/json.ts'
import { OPERATION_KINDS } from '../core/kinds.ts'
import {
  toOperationWire,
  toPoolWire,
  toSnapshotWire,
  toSourceWire,
  toTokenWire,
} from '../faces/control/wire.ts'
import type {
  Follower,
  NewDirectorySource,
  OperationQuery,
  Session,
  TokenRequest,
} from './session.ts'

const POLL_MS = 250
const PAGE = 200

/** Works on the records of this machine while no server does. */
export class EmbeddedSession implements Session {
  readonly kind = 'embedded'
  readonly #core: Core
  readonly #caller: Caller

  constructor(core: Core, caller: Caller) {
    this.#core = core
    this.#caller = caller
  }

  async sources() {
    const sources = await everyItem((cursor) =>
      this.#core.sources.list(this.#caller, { limit: PAGE, cursor }),
    )
    return sources.map(toSourceWire)
  }

  async createSource({ name, config }: NewDirectorySource) {
    const source = await this.#core.sources.create(this.#caller, {
      kind: 'directory',
      name,
      deviceId: null,
      config: config as JsonObject,
    })
    return toSourceWire(source)
  }

  async submit({ kind, input, ...rest }: NewOperation) {
    const known = OPERATION_KINDS.find((candidate) => candidate === kind)
    if (known === undefined) throw new AppError('invalid', `no kind of operation ${kind}`)
    const operation = await this.#core.jobs.submit(this.#caller, {
      kind: known,
      input: (input ?? {}) as JsonObject,
      ...rest,
    })
    return toOperationWire(operation)
  }

  async restore(snapshotId: string, { priority, target, paths, mode }: RestoreRequest) {
    const input = {
      ...(target === undefined ? {} : { target }),
      ...(paths === undefined ? {} : { paths }),
      ...(mode === undefined ? {} : { mode }),
    }
    return await this.submit({
      kind: 'restore',
      input: { snapshotId, ...input },
      ...(priority === undefined ? {} : { priority }),
    })
  }

  async verify(snapshotId: string, { priority, ...input }: VerifyRequest) {
    return await this.submit({
      kind: 'verify',
      input: { snapshotId, ...input },
      ...(priority === undefined ? {} : { priority }),
    })
  }

  async operation(id: string) {
    return toOperationWire(await this.#core.jobs.get(this.#caller, id))
  }

  async operations({ kind, statuses, sourceId, limit }: OperationQuery) {
    const known = OPERATION_KINDS.filter((candidate) => candidate === kind)
    if (kind !== undefined && known.length === 0) return []
    const operations = await everyItem(
      (cursor) =>
        this.#core.jobs.list(this.#caller, {
          ...(kind === undefined ? {} : { kinds: known }),
          ...(statuses === undefined ? {} : { statuses }),
          ...(sourceId === undefined ? {} : { sourceId }),
          limit: Math.min(limit, PAGE),
          cursor,
        }),
      limit,
    )
    return operations.map(toOperationWire)
  }

  async follow(id: string, follower: Follower, signal: AbortSignal) {
    let known = await this.operation(id)
    const leave = this.#core.jobs.onProgress(({ operationId, progress }) => {
      if (operationId !== id || known.status !== 'running') return
      known = { ...known, progress: furtherProgress(known.progress, progress) }
      follower.onOperation(known)
    })
    try {
      while (!isFinal(known.status)) {
        signal.throwIfAborted()
        follower.onOperation(known)
        const operation = await this.#core.jobs.waitForEnd(this.#caller, id, {
          timeoutMs: POLL_MS,
          signal,
        })
        signal.throwIfAborted()
        // What is stored lags behind what was heard.
        known = mergeOperation(known, toOperationWire(operation))
      }
      follower.onOperation(known)
      return known
    } finally {
      leave()
    }
  }

  async pause(id: string) {
    return toOperationWire(await this.#core.jobs.pause(this.#caller, id))
  }

  async resume(id: string) {
    return toOperationWire(await this.#core.jobs.resume(this.#caller, id))
  }

  async cancel(id: string) {
    return toOperationWire(await this.#core.jobs.cancel(this.#caller, id))
  }

  async warnings(id: string, limit: number) {
    return (await this.#core.jobs.warnings(this.#caller, id, { after: 0, limit })).items
  }

  async snapshots({ sourceId, limit }: { readonly sourceId?: string; readonly limit: number }) {
    const snapshots = await everyItem(
      (cursor) =>
        this.#core.snapshots.list(this.#caller, {
          ...(sourceId === undefined ? {} : { sourceId }),
          limit: Math.min(limit, PAGE),
          cursor,
        }),
      limit,
    )
    return snapshots.map(toSnapshotWire)
  }

  async snapshot(id: string) {
    return toSnapshotWire(await this.#core.snapshots.get(this.#caller, id))
  }

  async pools() {
    const pools = await everyItem((cursor) =>
      this.#core.pools.list(this.#caller, { limit: PAGE, cursor }),
    )
    return pools.map(toPoolWire)
  }

  async createToken({ name, permissions, expiresAt, accountId }: TokenRequest) {
    const { token, record } = await this.#core.auth.tokens.create(this.#caller, {
      name,
      permissions,
      expiresAtMs: expiresAt === null ? null : Date.parse(expiresAt),
      ...(accountId === null ? {} : { accountId }),
    })
    return { ...toTokenWire(record), token }
  }

  async close() {
    await this.#core.close()
  }
}

/** Page after page, up to `limit` items. */
async function everyItem<T>(
  read: (cursor: string | null) => Promise<{ items: readonly T[]; nextCursor: string | null }>,
  limit = Number.POSITIVE_INFINITY,
): Promise<T[]> {
  const items: T[] = []
  let cursor: string | null = null
  do {
    const page: { items: readonly T[]; nextCursor: string | null } = await read(cursor)
    items.push(...page.items)
    cursor = page.nextCursor
  } while (cursor !== null && items.length < limit)
  return items.slice(0, limit)
}
