import { AppError } from '../../../core/errors.ts'
import type { JsonObject } from '../../../core/json.ts'
import type { EngineTask } from '../../engine.ts'
import { parsePatterns } from './selection.ts'
import { parseTargetPath, type RestoreTarget, realTargetPath } from './target.ts'

export const RESTORE_MODES = ['merge', 'replace'] as const

export type RestoreMode = (typeof RESTORE_MODES)[number]

export interface RestoreWish {
  readonly targetPath: string
  readonly inPlace: boolean
  /** `null` takes everything. */
  readonly patterns: readonly string[] | null
  /** `null` where none was said. */
  readonly mode: RestoreMode | null
}

const invalid = (message: string): AppError => new AppError('invalid', message)

const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Also where a link on the way gives one folder two paths. */
const isSamePlace = (path: string, other: string): boolean =>
  path === other || realTargetPath(path) === realTargetPath(other)

/** Reads the input of a restore; throws `invalid` with what to do. */
export function parseRestoreInput(task: EngineTask): RestoreWish {
  const target = task.input['target'] ?? null
  const mode = task.input['mode'] ?? null
  const known = RESTORE_MODES.find((name) => name === mode)
  if (mode !== null && known === undefined) {
    throw invalid(`the mode of a restore is ${RESTORE_MODES.join(' or ')}, not ${String(mode)}`)
  }
  if (target !== null && !isObject(target)) throw invalid('target is an object with a path')
  const sourcePath = task.source?.config['path']
  const wanted = target === null ? sourcePath : target['path']
  if (wanted === undefined) {
    throw invalid('the source of this snapshot is gone or has no path: say a target')
  }
  const targetPath = parseTargetPath(wanted)
  const wish = {
    targetPath,
    inPlace: typeof sourcePath === 'string' && isSamePlace(targetPath, parseTargetPath(sourcePath)),
    patterns: parsePatterns(task.input),
    mode: known ?? null,
  }
  if (wish.inPlace && wish.patterns !== null && wish.mode === 'replace') {
    throw invalid(
      'replacing the source by a part of its snapshot would remove the rest: use mode merge, or restore elsewhere',
    )
  }
  return wish
}

/** The mode that holds; throws where somebody has to decide. */
export function decideMode(wish: RestoreWish, target: RestoreTarget): RestoreMode {
  if (wish.mode !== null) return wish.mode
  if (wish.inPlace || target.empty) return 'merge'
  throw new AppError(
    'conflict',
    `the target ${wish.targetPath} is not empty: say mode merge to keep what is there, or replace to swap it`,
  )
}
