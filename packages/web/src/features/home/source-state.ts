import { isFinal, type OperationWire, type SnapshotWire, type SourceWire } from '@holdfast/sdk'

/** Worst first: this order is the order on the page. */
export const STATES = [
  'failed',
  'damaged',
  'unprotected',
  'first',
  'paused',
  'incomplete',
  'stopped',
  'protected',
] as const

export type StateName = (typeof STATES)[number]

export interface SourceState {
  readonly source: SourceWire
  readonly name: StateName
  /** A backup that runs or waits. */
  readonly live: OperationWire | null
  /** The last backup that ended. */
  readonly ended: OperationWire | null
  readonly snapshot: SnapshotWire | null
}

/** How a source stands, from its newest backups and its newest snapshot. */
export function judge(
  source: SourceWire,
  backups: readonly OperationWire[],
  snapshot: SnapshotWire | null,
): SourceState {
  const live = backups.find(({ status }) => !isFinal(status)) ?? null
  const ended = backups.find(({ status }) => isFinal(status)) ?? null
  return { source, live, ended, snapshot, name: nameState(live, ended, snapshot) }
}

function nameState(
  live: OperationWire | null,
  ended: OperationWire | null,
  snapshot: SnapshotWire | null,
): StateName {
  if (live?.status === 'paused') return 'paused'
  if (snapshot?.verifiedWell === false) return 'damaged'
  if (live !== null && snapshot === null) return 'first'
  if (ended?.status === 'failed' && live === null) return 'failed'
  if (snapshot === null) return 'unprotected'
  if (live === null && (ended?.status === 'cancelled' || ended?.status === 'expired')) {
    return 'stopped'
  }
  return ended?.status === 'completed' && ended.outcome === 'warning' ? 'incomplete' : 'protected'
}

export const byUrgency = (left: SourceState, right: SourceState): number =>
  STATES.indexOf(left.name) - STATES.indexOf(right.name) ||
  left.source.name.localeCompare(right.source.name)
