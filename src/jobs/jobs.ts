import type { Caller } from '../core/account.ts'
import { AppError, operationNotFound, snapshotNotFound, subjectBusy } from '../core/errors.ts'
import type { LoggedEvent, ProgressNews } from '../core/events.ts'
import type { JsonObject } from '../core/json.ts'
import type { OperationKind } from '../core/kinds.ts'
import { isFinal, LIVE_STATUSES, type Operation, STATUSES, type Status } from '../core/operation.ts'
import { isAdmin } from '../core/permissions.ts'
import { NO_PROGRESS } from '../core/progress.ts'
import type { WriteTransaction } from '../store/database.ts'
import { eventsSince } from '../store/event-log.ts'
import { takeHolds } from '../store/holds.ts'
import { countByStatus } from '../store/operation-counts.ts'
import {
  findByIdempotencyKey,
  findOperation,
  type IdempotencyMark,
  insertOperation,
  listOperations,
  replaceOperation,
} from '../store/operations.ts'
import type { Page, PageRequest } from '../store/rows.ts'
import { countWarnings, listWarnings, type NumberedWarning } from '../store/warnings.ts'
import { probeWriting } from '../store/workers.ts'
import { recordAct } from './audit-lines.ts'
import { type Ask, answer } from './intents.ts'
import { operationEvent } from './operation-events.ts'
import { reasons } from './reasons.ts'
import {
  assertPoolVisible,
  hashRequest,
  type ParsedRequest,
  parseRequest,
  readSubject,
  type Subject,
  type SubmitRequest,
} from './requests.ts'
import { type JobsOptions, Room } from './room.ts'
import { endData, letGo } from './settle.ts'
import { engineFor, toTask } from './tasks.ts'

export interface ListRequest extends PageRequest {
  readonly kinds?: readonly OperationKind[]
  readonly statuses?: readonly Status[]
  readonly sourceId?: string
  readonly snapshotId?: string
  /** Narrows what an administrator sees; nobody else may name another's. */
  readonly accountId?: string
}

export interface WarningPage {
  readonly items: readonly NumberedWarning[]
  /** How many there were, those that were only counted included. */
  readonly total: number
  /** Pass it as `after` to read on; `null` at the end. */
  readonly nextAfter: number | null
}

/** Live operations that are answered at once. */
export const LIVE_MAX = 1_000
const RACES_MAX = 20
/** The events that tell an end are named by the status. */
const ENDS: ReadonlySet<string> = new Set(STATUSES.filter(isFinal))

/** The service everybody calls who wants something done, or wants to know how it stands. */
export class Jobs {
  readonly room: Room

  constructor(options: JobsOptions) {
    this.room = new Room(options)
  }

  /** Puts an operation into the queue. When it resolves the operation survives any crash. */
  async submit(caller: Caller, request: SubmitRequest): Promise<Operation> {
    const parsed = parseRequest(request)
    const mark = markOf(parsed)
    const { sql } = this.room.database
    const known = await this.#findSame(sql, caller.accountId, mark)
    if (known !== null) return known
    const subject = await readSubject(sql, parsed, accountSeen(caller))
    const draft = this.#draft(caller, parsed, subject)
    const sameOfOwner = await this.#findSame(sql, draft.accountId, mark)
    if (sameOfOwner !== null) return sameOfOwner
    if (parsed.poolId !== undefined) await assertPoolVisible(sql, parsed.poolId, draft.accountId)
    const asked = await toTask(this.room, draft, subject.source, subject.snapshot)
    const task = isAdmin(caller) ? { ...asked, byAdmin: true } : asked
    const engine = engineFor(this.room.engines, task)
    await engine.check(task)
    const operation = { ...draft, subjects: [...new Set(engine.subjects(task))].sort() }
    const submitted = await this.room.database.write((tx) =>
      this.#insert(tx, caller, operation, mark),
    )
    this.room.wake('work', submitted.id)
    return submitted
  }

  /** Throws `not_found` also when it is someone else's. */
  async get(caller: Caller, id: string): Promise<Operation> {
    const operation = await findOperation(this.room.database.sql, id)
    return assertVisible(caller, id, operation)
  }

  /** Newest first. */
  async list(caller: Caller, request: ListRequest): Promise<Page<Operation>> {
    const seen = accountSeen(caller)
    const { accountId = seen, ...query } = request
    if (seen !== null && accountId !== seen) return { items: [], nextCursor: null }
    return listOperations(this.room.database.sql, { ...query, accountId })
  }

  /** Pending, running and paused ones. `null` asks for those of everybody. */
  async live(caller: Caller | null): Promise<readonly Operation[]> {
    const accountId = caller === null ? null : accountSeen(caller)
    const query = { accountId, limit: LIVE_MAX, cursor: null }
    const { sql } = this.room.database
    // What runs comes first, however many wait.
    const running = await listOperations(sql, { ...query, statuses: ['running'] })
    const statuses = LIVE_STATUSES.filter((status) => status !== 'running')
    const rest = await listOperations(sql, { ...query, statuses })
    return [...running.items, ...rest.items].slice(0, LIVE_MAX)
  }

  /** Stands still until it is resumed; goes on from its checkpoint then. */
  pause(caller: Caller, id: string): Promise<Operation> {
    return this.#ask(caller, id, 'pause')
  }

  resume(caller: Caller, id: string): Promise<Operation> {
    return this.#ask(caller, id, 'resume')
  }

  cancel(caller: Caller, id: string): Promise<Operation> {
    return this.#ask(caller, id, 'cancel')
  }

  /** Submits the same again as a new operation. Only what ended without success is retried. */
  async retry(
    caller: Caller,
    id: string,
    options: Pick<SubmitRequest, 'idempotencyKey'> = {},
  ): Promise<Operation> {
    const ended = await this.get(caller, id)
    if (!isFinal(ended.status) || ended.status === 'completed') {
      throw new AppError('conflict', `a ${ended.status} operation cannot be retried`, {
        operationId: id,
        status: ended.status,
      })
    }
    const { kind, sourceId, snapshotId, poolId, input, priority } = ended
    return this.submit(caller, {
      kind,
      input,
      priority,
      retryOf: id,
      ...options,
      ...(snapshotId === null ? {} : { snapshotId }),
      ...(sourceId === null || snapshotId !== null ? {} : { sourceId }),
      ...(poolId === null ? {} : { poolId }),
    })
  }

  /** Resolves with the ended operation, or with its newest state when the time is up. */
  async waitForEnd(
    caller: Caller,
    id: string,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<Operation> {
    const { promise: over, resolve } = Promise.withResolvers<void>()
    // Listens before it looks: an end in between is not missed.
    const stopListening = this.room.database.onEvents((events) => {
      if (events.some((event) => event.topicId === id && ENDS.has(event.type))) resolve()
    })
    const timer = setTimeout(resolve, options.timeoutMs)
    const onAbort = () => resolve()
    options.signal?.addEventListener('abort', onAbort, { once: true })
    try {
      const operation = await this.get(caller, id)
      if (isFinal(operation.status) || options.signal?.aborted === true) return operation
      await over
      return await this.get(caller, id)
    } finally {
      stopListening()
      clearTimeout(timer)
      options.signal?.removeEventListener('abort', onAbort)
    }
  }

  /** What happened to it so far: status changes, phases, warnings. */
  async events(
    caller: Caller,
    id: string,
    page: { readonly sinceSequence: number; readonly limit: number },
  ): Promise<readonly LoggedEvent[]> {
    await this.get(caller, id)
    return eventsSince(this.room.database.sql, { ...page, topics: ['operation'], topicId: id })
  }

  async warnings(
    caller: Caller,
    id: string,
    page: { readonly after: number; readonly limit: number },
  ): Promise<WarningPage> {
    await this.get(caller, id)
    const { sql } = this.room.database
    const items = await listWarnings(sql, id, { after: page.after, limit: page.limit + 1 })
    const shown = items.slice(0, page.limit)
    const nextAfter = items.length > page.limit ? (shown.at(-1)?.number ?? null) : null
    return { items: shown, total: await countWarnings(sql, id), nextAfter }
  }

  /** Rejects while the records take nothing that is written, and says why. */
  async assertRecordsTaken(): Promise<void> {
    if (this.room.trouble.standing === null) return
    // Nobody may have written since: it may be over.
    await this.room.database.write((tx) => probeWriting(tx, this.room.ids.newId()), {
      durable: false,
    })
  }

  /** How many operations of every account are in each status: for whoever watches the server. */
  countByStatus(): ReturnType<typeof countByStatus> {
    return countByStatus(this.room.database.sql)
  }

  /** Hears the newest progress of what runs here and in other processes on the same records. */
  onProgress(listener: (news: ProgressNews) => void): () => void {
    return this.room.progress.onProgress(listener)
  }

  async #findSame(
    sql: WriteTransaction['sql'] | Room['database']['sql'],
    accountId: string,
    mark: IdempotencyMark | null,
  ): Promise<Operation | null> {
    if (mark === null) return null
    const known = await findByIdempotencyKey(sql, accountId, mark.key)
    if (known === null || known.hash === mark.hash) return known?.operation ?? null
    throw new AppError(
      'conflict',
      `this Idempotency-Key was used for another request, operation ${known.operation.id}; take a new key`,
      { operationId: known.operation.id },
    )
  }

  #draft(caller: Caller, request: ParsedRequest, { source, snapshot }: Subject): Operation {
    const nowMs = this.room.clock.nowMs()
    const defaultPoolId = request.kind === 'backup' ? this.room.defaultPoolId : null
    return {
      id: request.id ?? this.room.ids.newId(),
      // Whoever starts it, it belongs to the owner of what it works on.
      accountId: source?.accountId ?? snapshot?.accountId ?? caller.accountId,
      kind: request.kind,
      status: 'pending',
      statusReason: reasons.waiting,
      outcome: null,
      priority: request.priority,
      sourceId: source?.id ?? snapshot?.sourceId ?? null,
      snapshotId: snapshot?.id ?? null,
      poolId: request.poolId ?? snapshot?.poolId ?? defaultPoolId,
      subjects: [],
      input: request.input,
      result: null,
      failure: null,
      progress: NO_PROGRESS,
      checkpoint: null,
      intent: null,
      attempt: 0,
      workerId: null,
      retryOf: request.retryOf ?? null,
      resumedCount: 0,
      bytesNotRedone: 0,
      createdAtMs: nowMs,
      startedAtMs: null,
      updatedAtMs: nowMs,
      finishedAtMs: null,
    }
  }

  async #insert(
    tx: WriteTransaction,
    caller: Caller,
    operation: Operation,
    mark: IdempotencyMark | null,
  ): Promise<Operation> {
    if (!(await insertOperation(tx, operation, mark))) {
      const same = await this.#findSame(tx.sql, operation.accountId, mark)
      if (same !== null) return same
      throw new AppError('conflict', `there is an operation ${operation.id} already`, {
        operationId: operation.id,
      })
    }
    await this.room.queueLimit.take(tx.sql, operation.accountId)
    await this.#assertSnapshotStays(tx, operation)
    const { dialect } = this.room.database
    const held = await takeHolds(tx, operation.id, operation.subjects, dialect)
    if (held !== null) throw subjectBusy(held.subject, held.operationId)
    const { snapshotId, retryOf } = operation
    const data = { by: caller.name, snapshotId, retryOf, byAdmin: isAdmin(caller) }
    tx.append(operationEvent(operation, 'submitted', operation.createdAtMs, data))
    await recordAct(tx, this.room, { caller, action: 'submit', operation })
    return operation
  }

  /** A snapshot that is removed at the same time is either gone here, or its removal sees this operation. */
  async #assertSnapshotStays(tx: WriteTransaction, { snapshotId }: Operation): Promise<void> {
    if (snapshotId === null) return
    const query = tx.sql.selectFrom('snapshots').select('id').where('id', '=', snapshotId)
    const isPostgres = this.room.database.dialect === 'postgres'
    const row = await (isPostgres ? query.forShare() : query).executeTakeFirst()
    if (row === undefined) throw snapshotNotFound(snapshotId)
  }

  async #ask(caller: Caller, id: string, ask: Ask): Promise<Operation> {
    for (let race = 0; race < RACES_MAX; race += 1) {
      const asked = await this.room.database.write((tx) => this.#tryAsk(tx, caller, id, ask))
      if (asked === null) continue
      this.room.wake(asked.status === 'running' ? 'intent' : 'work', id)
      return asked
    }
    throw new AppError('unavailable', `operation ${id} changes all the time; try again`, {
      operationId: id,
    })
  }

  /** Answers `null` where the operation changed between reading and writing. */
  async #tryAsk(
    tx: WriteTransaction,
    caller: Caller,
    id: string,
    ask: Ask,
  ): Promise<Operation | null> {
    const operation = assertVisible(caller, id, await findOperation(tx.sql, id))
    const nowMs = this.room.clock.nowMs()
    const next = answer(operation, ask, caller.name, nowMs)
    if (next === null) return operation
    if (!(await replaceOperation(tx, operation, next.operation))) return null
    let data: JsonObject = { by: caller.name, intent: next.operation.intent }
    if (isFinal(next.operation.status)) {
      await letGo(tx, next.operation, false)
      data = endData(next.operation, await countWarnings(tx.sql, id), caller.name)
    }
    tx.append(operationEvent(next.operation, next.event, nowMs, data))
    await recordAct(tx, this.room, { caller, action: ask, operation })
    return next.operation
  }
}

/** Whose operations a caller sees: his own, or (`null`) everybody's. */
const accountSeen = (caller: Caller): string | null =>
  caller.permissions.includes('admin') ? null : caller.accountId

function assertVisible(caller: Caller, id: string, operation: Operation | null): Operation {
  const seen = accountSeen(caller)
  if (operation !== null && (seen === null || operation.accountId === seen)) return operation
  throw operationNotFound(id)
}

function markOf(request: ParsedRequest): IdempotencyMark | null {
  const { idempotencyKey: key } = request
  return key === undefined ? null : { key, hash: hashRequest(request) }
}
