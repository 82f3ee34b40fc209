import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { access, realpath, stat } from 'node:fs/promises'
import { isAbsolute, resolve } from 'node:path'
import { AppError } from '../../../core/errors.ts'
import type { Json } from '../../../core/json.ts'
import { systemCodeOf } from '../../../platform/files.ts'
import { folderIdOf, idsOfFolders, overlapOfReal } from '../../../platform/folder-identity.ts'
import type { EngineTask } from '../../engine.ts'
import { COMPRESSIONS, type Compression } from '../format/manifest.ts'
import { checkIgnore, readIgnoreFile } from './ignore.ts'
import { LEVELS, type Level } from './pack-stage.ts'

/** What a backup is asked to do, as it was said. */
export interface BackupWish {
  readonly sourceId: string
  readonly path: string
  readonly ignore: string
  readonly compression: Compression
  readonly level: Level
  /** The SHA-1 of the archive is wanted beside its SHA-256. */
  readonly withSha1: boolean
}

/** What it comes to on this machine. */
export interface BackupPlan extends BackupWish {
  /** The folder itself, every link on the way to it resolved. */
  readonly root: string
  /** `<device>:<inode>` of it: whatever reads it later proves that it is still that folder. */
  readonly rootId: string
  /** Equal plans make equal archives of an equal tree: a checkpoint of another one is of no use. */
  readonly fingerprint: string
  /** `<device>:<inode>` of folders of Holdfast that may lie below the root. */
  readonly never: readonly string[]
}

const EXTENSIONS = { none: '.tar', gzip: '.tar.gz', zstd: '.tar.zst' } as const satisfies Record<
  Compression,
  string
>

const invalid = (message: string): AppError => new AppError('invalid', message)

function oneOf<Value extends string>(
  what: string,
  value: Json | undefined,
  values: readonly Value[],
  otherwise: Value,
): Value {
  if (value === undefined || value === null) return otherwise
  const known = values.find((candidate) => candidate === value)
  if (known !== undefined) return known
  throw invalid(`${what} is ${values.join(', ')}, not ${JSON.stringify(value).slice(0, 50)}`)
}

/** Of the archive: SHA-256 is always there. */
function parseChecksums(value: Json | undefined): readonly string[] {
  if (value === undefined || value === null) return []
  const known = ['sha1', 'sha256']
  if (Array.isArray(value) && value.every((name) => known.includes(String(name)))) {
    return value.map(String)
  }
  throw invalid(`checksums is a list of ${known.join(', ')}`)
}

/** Reads the source and the input of a backup; the input goes first. */
export function parseBackupWish(task: EngineTask): BackupWish {
  const { source, input } = task
  if (source === null) throw new AppError('not_found', 'the source is gone: nothing to back up')
  const { path } = source.config
  if (typeof path !== 'string' || !isAbsolute(path) || path.includes('\0')) {
    throw invalid('the path of a directory source is an absolute path, such as /srv/world')
  }
  const ignore = input['ignore'] ?? source.config['ignore'] ?? ''
  if (typeof ignore !== 'string') throw invalid('ignore is a text, one rule a line')
  checkIgnore(ignore)
  const configured = oneOf('compression', source.config['compression'], COMPRESSIONS, 'zstd')
  return {
    sourceId: source.id,
    path: resolve(path),
    ignore,
    compression: oneOf('compression', input['compression'], COMPRESSIONS, configured),
    level: oneOf('level', input['level'], LEVELS, 'default'),
    withSha1: parseChecksums(input['checksums']).includes('sha1'),
  }
}

/** A failed file call on the folder, as a sentence. The user named its path himself, so that it may be said to him. */
export function explainRoot(cause: unknown, errno: string, path: string): AppError {
  if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errno)) {
    return new AppError('not_found', `there is no folder ${path}: check the path`, {}, cause)
  }
  if (['EACCES', 'EPERM'].includes(errno)) {
    const what = `the folder ${path} may not be read by the user Holdfast runs as`
    return new AppError('forbidden', `${what}: give it the right to read and enter it`, {}, cause)
  }
  if (errno === 'ESTALE') {
    const what = `the folder ${path} was replaced by another one while it was looked at`
    return new AppError('conflict', `${what}: nothing of that was read; try again`, {}, cause)
  }
  const what = `the folder ${path} cannot be read (${errno})`
  return new AppError('unavailable', `${what}: check the disk or share it is on`, {}, cause)
}

/**
 * Looks at the folder; throws what a person can act on where it cannot be
 * backed up. The forbidden roots are real paths.
 */
export async function planBackup(
  wish: BackupWish,
  forbiddenRoots: readonly string[],
): Promise<BackupPlan> {
  const { root, rootId } = await findRoot(wish.path)
  for (const folder of forbiddenRoots) {
    if (overlapOfReal(root, folder) !== 'inside') continue
    throw invalid(`${wish.path} is a folder of Holdfast itself: choose another one to protect`)
  }
  const never = idsOfFolders(forbiddenRoots)
  const ignore = wish.ignore.trim() === '' ? readIgnoreFile(root) : wish.ignore
  checkIgnore(ignore)
  const parts = [root, ignore, wish.compression, wish.level]
  const fingerprint = createHash('sha256').update(JSON.stringify(parts)).digest('hex')
  return { ...wish, root, rootId, ignore, never, fingerprint }
}

async function findRoot(path: string): Promise<{ root: string; rootId: string }> {
  try {
    const root = await realpath(path)
    const found = await stat(root, { bigint: true })
    if (!found.isDirectory()) {
      throw invalid(`${path} is no folder: a directory source protects a folder`)
    }
    await access(root, constants.R_OK | constants.X_OK)
    return { root, rootId: folderIdOf(found) }
  } catch (error) {
    const errno = error instanceof AppError ? null : systemCodeOf(error)
    if (errno === null) throw error
    throw explainRoot(error, errno, path)
  }
}

/** Below which every object of an operation lies, and names of none other begin. */
export const stemOf = (operationId: string, attempt: number): string => `${operationId}-${attempt}`

export const stagedNames = (stem: string): { archive: string; manifest: string } => ({
  archive: `${stem}.archive`,
  manifest: `${stem}.manifest`,
})

/** Whose a staged file is; `null` where it is of nobody's backup. */
export const operationOfStaged = (name: string): string | null =>
  /^(.+)-\d+\.(?:archive|manifest)(?:\.copy)?$/.exec(name)?.[1] ?? null

export function objectKeys(
  sourceId: string,
  stem: string,
  compression: Compression,
): { archive: string; manifest: string } {
  const archive = `archives/${sourceId}/${stem}${EXTENSIONS[compression]}`
  return { archive, manifest: `${archive}.manifest.jsonl.gz` }
}
