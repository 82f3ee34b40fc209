import type { JsonObject } from '../../../core/json.ts'
import type { ArchiveMade } from './archive-run.ts'
import type { ManifestNews } from './digest-stage.ts'
import type { ReadPosition } from './position.ts'
import type { TreeSize } from './scan-stage.ts'
import type { ArchiveNews } from './write-stage.ts'
import type { XattrFate } from './xattr-source.ts'

/** Stored with every checkpoint: one of another version is not gone on with. */
const CHECKPOINT_VERSION = 1

type Numbers<News> = Omit<News, 'is' | 'id'>

interface Common {
  readonly fingerprint: string
  /** What the names of the staged files begin with: of the run that began them. */
  readonly stem: string
  readonly createdAtMs: number
  readonly size: TreeSize
}

/** The staged files are good up to here. */
export interface ArchivingCheckpoint extends Common {
  readonly phase: 'archiving'
  readonly position: ReadPosition
  readonly archive: Numbers<ArchiveNews>
  readonly manifest: Numbers<ManifestNews>
}

/** Both files are whole; they are about to become these objects, or have become them. */
export interface PublishingCheckpoint extends Common {
  readonly phase: 'publishing'
  readonly keys: { readonly archive: string; readonly manifest: string }
  readonly made: ArchiveMade
  readonly itemsDone: number
  readonly xattrs: XattrFate
}

export type BackupCheckpoint = ArchivingCheckpoint | PublishingCheckpoint

export function toCheckpointJson(checkpoint: BackupCheckpoint): JsonObject {
  // Plain records of strings and numbers: a copy through JSON loses nothing and shares nothing.
  return { version: CHECKPOINT_VERSION, ...JSON.parse(JSON.stringify(checkpoint)) }
}

const isRecord = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null

/**
 * Reads what a run of the same plan saved; `null` where it cannot be gone on
 * with: it is of another version or plan. Its figures are proved against the
 * files before they are used.
 */
export function parseBackupCheckpoint(
  json: JsonObject | null,
  fingerprint: string,
): BackupCheckpoint | null {
  if (json === null || json['version'] !== CHECKPOINT_VERSION) return null
  if (json['fingerprint'] !== fingerprint) return null
  const archiving = json['phase'] === 'archiving' && isRecord(json['position'])
  const publishing = json['phase'] === 'publishing' && isRecord(json['made'])
  return archiving || publishing ? (json as unknown as BackupCheckpoint) : null
}
