import type { FastifyRequest } from 'fastify'
import type { Caller } from '../../core/account.ts'
import { AppError } from '../../core/errors.ts'
import { isUuid } from '../../core/ids.ts'
import { isFinal, type Operation } from '../../core/operation.ts'
import type { Snapshot } from '../../core/snapshot.ts'
import type { Source } from '../../core/source.ts'
import type { Gate } from '../auth.ts'
import type { Services } from '../face.ts'
import { backupIdOf, isFramed } from './frames.ts'

/** Sentences of the dialect (contract 000, A5), word for word: panels compare them. */
export const SENTENCES = {
  badUuid: 'The backup identifier must be a valid UUID.',
  busy: 'A backup operation is already running for this server',
  taken: 'A backup with this identifier already exists on this server.',
  noBackup: 'The requested backup was not found on this server.',
  noDownloadUrl: 'The download_url field is required when the backup adapter is set to S3.',
  noS3: 'This daemon keeps backups in its own pools: use the adapter "wings".',
  stopping: 'The backup is still being stopped: try again.',
  notRunning: 'Backup operation not found or already completed',
  foreign: 'Backup operation does not belong to this server',
} as const

export interface RouteOptions {
  readonly services: Services
  readonly gate: Gate
  readonly identify: (request: FastifyRequest, permission: string) => Promise<Caller>
  /** Who asks and which server it is about, or an error of the dialect. */
  readonly serverOf: (
    request: FastifyRequest,
    permission: string,
  ) => Promise<{ readonly caller: Caller; readonly server: Source }>
}

/** contract 000, A5: "canonical 36-char form only; upper-case accepted and lower-cased". */
export function parseUuid(text: string): string {
  if (!isUuid(text)) throw new AppError('invalid', SENTENCES.badUuid)
  return text.toLowerCase()
}

export const backupParam = (request: FastifyRequest): string =>
  parseUuid((request.params as { backup: string }).backup)

export async function findOperation(
  { jobs }: Services,
  caller: Caller,
  id: string,
): Promise<Operation | null> {
  try {
    return await jobs.get(caller, id)
  } catch (error) {
    if (error instanceof AppError && error.code === 'not_found') return null
    throw error
  }
}

/** By the id of the operation, or of the backup that a restore brings back. */
export async function findLive(
  services: Services,
  caller: Caller,
  id: string,
): Promise<Operation | null> {
  const operation = await findOperation(services, caller, id)
  if (operation !== null && !isFinal(operation.status)) return operation
  const live = await services.jobs.live(caller)
  return live.find((one) => isFramed(one) && backupIdOf(one) === id) ?? null
}

/** What the backup of that id left. */
export async function snapshotOf(
  services: Services,
  caller: Caller,
  server: Source,
  backupId: string,
): Promise<Snapshot> {
  const operation = await findOperation(services, caller, backupId)
  const isBackup = operation?.kind === 'backup' && operation.sourceId === server.id
  const snapshotId = isBackup ? operation.snapshotId : null
  if (snapshotId === null) throw new AppError('not_found', SENTENCES.noBackup)
  try {
    return await services.snapshots.get(caller, snapshotId)
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'not_found') throw error
    throw new AppError('not_found', SENTENCES.noBackup, {}, error)
  }
}
