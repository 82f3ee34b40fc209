import type { JsonObject } from '../../../core/json.ts'
import type { RestoreMode } from './restore-input.ts'
import type { Swap } from './swap.ts'
import type { RestoreTarget } from './target.ts'

/**
 * How far a restore came.
 *
 *     extracting ──> ready ──> swapped
 *
 * `extracting`: entries before `tarOffset` are complete below `work`. `ready`:
 * all of it is proven, and the swap may have begun. `swapped`: the target is
 * new, and the old one only waits to be removed.
 */
export interface RestoreCheckpoint {
  readonly version: 1
  readonly step: 'extracting' | 'ready' | 'swapped'
  readonly swap: Swap
  /** The topmost directory above the target that had to be made. */
  readonly madeParent: string | null
  /** What was not synced to the disk did not survive another boot. */
  readonly bootId: string
  readonly tarOffset: number
  readonly itemCount: number
  readonly contentBytes: number
  /** Of the whole operation, once it is ready. */
  readonly result: JsonObject | null
}

export const toJson = (checkpoint: RestoreCheckpoint): JsonObject => ({
  ...checkpoint,
  swap: { ...checkpoint.swap },
})

/** `null` for what is no checkpoint of this version: the work then starts again. */
export function parseCheckpoint(json: JsonObject | null): RestoreCheckpoint | null {
  if (json === null || json['version'] !== 1) return null
  // Only this module writes them, and the version was looked at.
  return json as unknown as RestoreCheckpoint
}

/** Where a run works: in fresh directories, or on what an earlier run left. */
export interface Ground {
  readonly target: RestoreTarget
  readonly mode: RestoreMode
  readonly swap: Swap
  /** Where file calls find `swap.work`, held open: whatever becomes of its path, nothing is extracted elsewhere. */
  readonly workPath: string
  readonly madeParent: string | null
  readonly earlier: RestoreCheckpoint | null
}
