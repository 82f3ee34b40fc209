import type { OperationEvent } from '../../core/events.ts'
import type { Operation, Status } from '../../core/operation.ts'
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

/** What is to be known of an operation to say the state of its server. */
export type ServerWork = Pick<Operation, 'kind' | 'status'>

/** The state that this daemon can know: what it does to the server's files. */
export function serverStatus(work: readonly ServerWork[]): string {
  const running = work.find(({ status }) => status === 'running')
  if (running !== undefined) return running.kind === 'restore' ? 'restore' : 'backup'
  const waiting = work.find(({ status }) => status === 'pending')
  if (waiting !== undefined) return waiting.kind === 'restore' ? 'restore_queued' : 'backup_queued'
  return 'offline'
}

const STATUS_AFTER: Partial<Record<OperationEvent, Status>> = {
  submitted: 'pending',
  started: 'running',
  paused: 'paused',
  resumed: 'pending',
  interrupted: 'pending',
}

/** What an operation was right after an event, where the event changed that. */
export const statusAfter = (event: OperationEvent): Status | null => STATUS_AFTER[event] ?? null

/** What a peer sends (contract 000, A3). */
export interface Message {
  readonly event: string
  readonly args: readonly string[]
}

/** `null` for what is no message of this dialect. */
export function parseMessage(text: string): Message | null {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return null
  }
  if (typeof parsed !== 'object' || parsed === null || !('event' in parsed)) return null
  if (typeof parsed.event !== 'string') return null
  const args = 'args' in parsed && Array.isArray(parsed.args) ? parsed.args : []
  return { event: parsed.event, args: args.filter((arg) => typeof arg === 'string') }
}
