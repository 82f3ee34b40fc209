import type { OperationWire } from '@holdfast/sdk'
import {
  Holdfast,
  isFinal,
  type LiveMessage,
  mergeOperation,
  type NewOperation,
  type RestoreRequest,
  type VerifyRequest,
} from '@holdfast/sdk'
import type {
  Follower,
  NewDirectorySource,
  OperationQuery,
  Session,
  TokenRequest,
} from './session.ts'

/** A server that was restarted is back by then. */
const PATIENCE_MS = 5 * 60_000

/** Talks to a running server. */
export class ServerSession implements Session {
  readonly kind = 'server'
  readonly holdfast: Holdfast

  constructor(options: { url: string; token: string }) {
    this.holdfast = new Holdfast(options)
  }

  async sources() {
    return await takeAll(this.holdfast.sources.all({ limit: 200 }))
  }

  async createSource({ name, config }: NewDirectorySource) {
    return await this.holdfast.sources.create({ kind: 'directory', name, config })
  }

  async submit(operation: NewOperation) {
    return await this.holdfast.operations.submit(operation)
  }

  async restore(snapshotId: string, request: RestoreRequest) {
    return await this.holdfast.snapshots.restore(snapshotId, request)
  }

  async verify(snapshotId: string, request: VerifyRequest) {
    return await this.holdfast.snapshots.verify(snapshotId, request)
  }

  async operation(id: string) {
    return await this.holdfast.operations.get(id)
  }

  async operations({ kind, statuses, sourceId, limit }: OperationQuery) {
    const filter = {
      ...(kind === undefined ? {} : { kind }),
      ...(sourceId === undefined ? {} : { source: sourceId }),
      limit: Math.min(limit, 200),
    }
    const found: OperationWire[] = []
    // Each status has its own list: the API takes one at a time.
    for (const status of statuses ?? [undefined]) {
      const all = this.holdfast.operations.all(
        status === undefined ? filter : { ...filter, status },
      )
      found.push(...(await takeAll(all, limit)))
    }
    return found.sort((left, right) => (left.id < right.id ? 1 : -1)).slice(0, limit)
  }

  /** The live feed for what moves; the end also by asking, should the feed not get through. */
  async follow(id: string, follower: Follower, signal: AbortSignal) {
    const ended = new AbortController()
    const { promise, resolve } = Promise.withResolvers<OperationWire>()
    let known: OperationWire | null = null
    const take = (operation: OperationWire) => {
      if (operation.id !== id || ended.signal.aborted) return
      known = known === null ? operation : mergeOperation(known, operation)
      follower.onOperation(known)
      if (isFinal(known.status)) resolve(known)
    }
    const leave = this.holdfast.live.subscribe([`operation:${id}`], (message: LiveMessage) => {
      if (message.type === 'snapshot') message.operations.forEach(take)
      if (message.type === 'event' && message.operation !== null) take(message.operation)
      if (message.type === 'progress' && message.operationId === id && known !== null) {
        take({ ...known, progress: message.progress })
      }
    })
    const leaveState = this.holdfast.live.onState((state) => follower.onReach?.(state === 'live'))
    try {
      const asked = this.holdfast.operations.wait(id, {
        signal: AbortSignal.any([signal, ended.signal]),
        patienceMs: PATIENCE_MS,
        onOperation: take,
      })
      return await Promise.race([promise, asked])
    } finally {
      ended.abort()
      leaveState()
      leave()
    }
  }

  async pause(id: string) {
    return await this.holdfast.operations.pause(id)
  }

  async resume(id: string) {
    return await this.holdfast.operations.resume(id)
  }

  async cancel(id: string) {
    return await this.holdfast.operations.cancel(id)
  }

  async warnings(id: string, limit: number) {
    return (await this.holdfast.operations.warnings(id, { limit })).items
  }

  async snapshots({ sourceId, limit }: { readonly sourceId?: string; readonly limit: number }) {
    const filter = { limit: Math.min(limit, 200) }
    return await takeAll(
      this.holdfast.snapshots.all(
        sourceId === undefined ? filter : { ...filter, source: sourceId },
      ),
      limit,
    )
  }

  async snapshot(id: string) {
    return await this.holdfast.snapshots.get(id)
  }

  async pools() {
    return await takeAll(this.holdfast.pools.all())
  }

  async createToken({ name, permissions, expiresAt, accountId }: TokenRequest) {
    return await this.holdfast.tokens.create({
      name,
      permissions,
      ...(expiresAt === null ? {} : { expiresAt }),
      ...(accountId === null ? {} : { accountId }),
    })
  }

  async close() {
    this.holdfast.live.close()
  }
}

async function takeAll<T>(items: AsyncIterable<T>, limit = Number.POSITIVE_INFINITY): Promise<T[]> {
  const taken: T[] = []
  for await (const item of items) {
    taken.push(item)
    if (taken.length >= limit) break
  }
  return taken
}
