import { constants } from 'node:fs'
import { access, lstat, realpath } from 'node:fs/promises'
import { AppError } from '../../../core/errors.ts'
import type { JsonObject } from '../../../core/json.ts'
import { systemCodeOf } from '../../../platform/files.ts'
import {
  idsOfFolders,
  type KnownFolder,
  knowFolder,
  overlapOf,
} from '../../../platform/folder-identity.ts'
import type { EngineTask } from '../../engine.ts'
import { explainRoot } from '../create/backup-plan.ts'
import { parsePatterns } from './selection.ts'
import { parseTargetPath } from './target.ts'

/** A folder of this machine that is to be compared with a snapshot. */
export interface CompareWish {
  readonly targetPath: string
  /** What is compared of the snapshot; `null` is everything. */
  readonly patterns: readonly string[] | null
}

export interface ComparedFolder {
  readonly root: KnownFolder
  /** `<device>:<inode>` of folders of Holdfast that may lie below it. */
  readonly never: readonly string[]
}

const invalid = (message: string): AppError => new AppError('invalid', message)

const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** What a verify is to compare its snapshot with; `null` where the archive itself is verified. */
export function parseCompareInput({ input }: EngineTask): CompareWish | null {
  const target = input['target'] ?? null
  if (target === null) {
    if (input['paths'] == null) return null
    throw invalid('paths belong to a target: without one the whole archive is verified')
  }
  if (!isObject(target)) throw invalid('target is an object with a path')
  return { targetPath: parseTargetPath(target['path']), patterns: parsePatterns(input) }
}

/** Looks at the folder; throws what a person can act on where it cannot be compared. */
export async function inspectFolder(
  { targetPath }: CompareWish,
  forbiddenRoots: readonly string[],
): Promise<ComparedFolder> {
  const root = await findRoot(targetPath)
  for (const folder of forbiddenRoots) {
    if ((await overlapOf(root, folder)) === 'inside') {
      throw invalid(`${targetPath} lies inside the data of Holdfast: nothing is restored there`)
    }
  }
  return { root: knowFolder(root), never: idsOfFolders(forbiddenRoots) }
}

async function findRoot(path: string): Promise<string> {
  try {
    const found = await lstat(path)
    if (found.isSymbolicLink()) {
      throw invalid(`${path} is a symlink: name the directory it leads to`)
    }
    if (!found.isDirectory())
      throw invalid(`${path} is a file: a snapshot is compared with a folder`)
    await access(path, constants.R_OK | constants.X_OK)
    return await realpath(path)
  } catch (error) {
    const code = error instanceof AppError ? null : systemCodeOf(error)
    throw code === null ? error : explainRoot(error, code, path)
  }
}
