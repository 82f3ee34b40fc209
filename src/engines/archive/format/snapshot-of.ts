import { AppError } from '../../../core/errors.ts'
import type { Snapshot } from '../../../core/snapshot.ts'
import type { EngineTask } from '../../engine.ts'

/** The snapshot that a task works on; throws `not_found` where it was removed meanwhile. */
export function snapshotOf(task: EngineTask): Snapshot {
  if (task.snapshot === null) {
    throw new AppError('not_found', 'the snapshot is gone: choose another one')
  }
  return task.snapshot
}
