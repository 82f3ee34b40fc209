import type { Operation } from '../../core/operation.ts'
import { backupIdOf } from './frames.ts'

/** What follows the last frame of an operation. */
export interface Completion {
  readonly event: 'backup completed' | 'backup restore completed'
  readonly payload: Readonly<Record<string, unknown>>
  readonly daemonMessage: string | null
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

const countOf = (value: unknown): number => (typeof value === 'number' ? value : 0)

export function completionOf(operation: Operation): Completion {
  const successful = operation.status === 'completed'
  if (operation.kind === 'restore') {
    return {
      event: 'backup restore completed',
      payload: { successful },
      // A restore that failed never says that it completed.
      daemonMessage: successful ? 'Completed server restoration from local backup.' : null,
    }
  }
  const result = operation.result ?? {}
  const sha1 = textOf(result['sha1'])
  return {
    event: 'backup completed',
    payload: {
      uuid: backupIdOf(operation),
      is_successful: successful,
      checksum: successful ? sha1 || textOf(result['sha256']) : '',
      checksum_type: sha1 === '' ? 'sha256' : 'sha1',
      file_size: successful ? countOf(result['archiveBytes']) : 0,
    },
    daemonMessage: null,
  }
}

/** The state that this daemon can know: what it does to the server's files. */
export function serverStatus(operations: readonly Operation[]): string {
  const live = operations.filter(({ finishedAtMs }) => finishedAtMs === null)
  const running = live.find(({ status }) => status === 'running')
  if (running !== undefined) return running.kind === 'restore' ? 'restore' : 'backup'
  const waiting = live.find(({ status }) => status === 'pending')
  if (waiting !== undefined) return waiting.kind === 'restore' ? 'restore_queued' : 'backup_queued'
  return 'offline'
}
