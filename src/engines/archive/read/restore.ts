import { dirname, isAbsolute } from 'node:path'
import type { JsonObject } from '../../../core/json.ts'
import type { Engine, EngineContext, EngineResult, EngineTask } from '../../engine.ts'
import { assertArchive, parseDetails } from '../format/archive-place.ts'
import { snapshotOf } from '../format/snapshot-of.ts'
import { parseCheckpoint } from './restore-checkpoint.ts'
import { decideMode, parseRestoreInput } from './restore-input.ts'
import { RestoreRun } from './restore-run.ts'
import type { RestoreArchiveOptions } from './restore-stage.ts'
import { removeEmptyParents, removeWork } from './restore-work.ts'
import { swapBack } from './swap.ts'
import { inspectTarget, isWithin, realTargetPath } from './target.ts'

/**
 * Restores a snapshot of format `archive`: everything is read, proven and
 * extracted beside the target first, and the target is only touched by the
 * renames of the swap, which a crash or a failure takes back or completes.
 */
export class RestoreArchive implements Engine {
  readonly #options: RestoreArchiveOptions

  constructor(options: RestoreArchiveOptions) {
    this.#options = options
  }

  subjects(task: EngineTask): readonly string[] {
    const target = realTargetPath(parseRestoreInput(task).targetPath)
    return [`path:${target}`, ...overlappedSource(task, target)]
  }

  async check(task: EngineTask): Promise<void> {
    const snapshot = snapshotOf(task)
    parseDetails(snapshot)
    const wish = parseRestoreInput(task)
    const target = await inspectTarget(wish.targetPath, await this.#options.forbiddenRoots())
    await this.#options.assertAllowedPath?.(task, target.path, wish.targetPath)
    decideMode(wish, target)
    await assertArchive(await this.#options.pools.open(snapshot.poolId), snapshot)
  }

  async run(task: EngineTask, context: EngineContext): Promise<EngineResult> {
    context.signal.throwIfAborted()
    return new RestoreRun(task, snapshotOf(task), context, this.#options).run()
  }

  async discard(task: EngineTask, json: JsonObject | null): Promise<void> {
    const checkpoint = parseCheckpoint(json)
    if (checkpoint?.step === 'ready') swapBack(checkpoint.swap)
    const target = checkpoint?.swap.target ?? parseRestoreInput(task).targetPath
    await removeWork(this.#options.threads, task.operationId, target)
    if (checkpoint?.step !== 'swapped' && checkpoint?.madeParent != null) {
      await removeEmptyParents(dirname(checkpoint.swap.target), checkpoint.madeParent)
    }
  }
}

/** Where the target is the source's own folder, lies in it or holds it, no backup of that source may run meanwhile. */
function overlappedSource({ source }: EngineTask, target: string): readonly string[] {
  const path = source?.config['path']
  if (source === null || typeof path !== 'string' || !isAbsolute(path)) return []
  const real = realTargetPath(path)
  return isWithin(target, real) || isWithin(real, target) ? [`source:${source.id}`] : []
}
