import { AppError } from '../core/errors.ts'
import type { OperationKind } from '../core/kinds.ts'
import type { Operation } from '../core/operation.ts'
import type { Snapshot } from '../core/snapshot.ts'
import type { Source } from '../core/source.ts'
import type { Engine, EngineTask } from '../engines/engine.ts'
import { findSnapshot } from '../store/snapshots.ts'
import { findSource } from '../store/sources.ts'
import { wasSubmittedByAdmin } from '../store/submitters.ts'
import type { Room } from './room.ts'

/** A backup is done by what knows its source, everything else by what knows the snapshot's format. */
export function engineKey(
  kind: OperationKind,
  source: Pick<Source, 'kind'> | null,
  snapshot: Pick<Snapshot, 'format'> | null,
): string {
  if (kind !== 'backup' && snapshot !== null) return `${kind}:${snapshot.format}`
  return source === null ? kind : `${kind}:${source.kind}`
}

export function engineFor(
  engines: ReadonlyMap<string, Engine>,
  task: Pick<EngineTask, 'kind' | 'source' | 'snapshot'>,
): Engine {
  const key = engineKey(task.kind, task.source, task.snapshot)
  const engine = engines.get(key)
  if (engine !== undefined) return engine
  const what = cannotDo(task)
  throw new AppError('invalid', `this server cannot ${what} yet; it does: ${list(engines)}`, {
    engine: key,
  })
}

const cannotDo = ({ kind, source, snapshot }: Pick<EngineTask, 'kind' | 'source' | 'snapshot'>) => {
  if (kind === 'backup' && source !== null) return `back up ${source.kind} sources`
  if (snapshot !== null) return `${kind} snapshots of the format ${snapshot.format}`
  return `do ${engineKey(kind, source, snapshot)}`
}

const list = (engines: ReadonlyMap<string, Engine>): string =>
  engines.size === 0 ? 'nothing' : [...engines.keys()].sort().join(', ')

/** Reads what an operation works on as it is now. What is gone is `null`: the engine says what that means. */
export async function readTask(room: Room, operation: Operation): Promise<EngineTask> {
  const { sql } = room.database
  const source = operation.sourceId === null ? null : await findSource(sql, operation.sourceId)
  const snapshot =
    operation.snapshotId === null ? null : await findSnapshot(sql, operation.snapshotId)
  const task = await toTask(room, operation, source, snapshot)
  const { subjects } = operation
  return { ...task, subjects, byAdmin: await wasSubmittedByAdmin(sql, operation.id) }
}

export async function toTask(
  room: Room,
  operation: Operation,
  source: Source | null,
  snapshot: Snapshot | null,
): Promise<EngineTask> {
  return {
    operationId: operation.id,
    accountId: operation.accountId,
    kind: operation.kind,
    input: operation.input,
    source: source === null ? null : await room.openSource(source),
    snapshot,
    poolId: operation.poolId,
    attempt: operation.attempt,
  }
}
