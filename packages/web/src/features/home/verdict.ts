import { countOf } from '../../ui/amounts.ts'
import type { Tone } from '../../ui/badge.tsx'
import { agoText } from '../../ui/times.ts'
import type { SourceState, StateName } from './source-state.ts'

export interface Verdict {
  readonly tone: Tone
  /** One sentence that says how things stand. */
  readonly sentence: string
  /** What else there is to know, or to do. */
  readonly detail: string
}

const only = (states: readonly SourceState[], name: StateName): readonly SourceState[] =>
  states.filter((state) => state.name === name)

const trimmed = (text: string): string => text.replace(/[.\s]+$/, '')

const list = (states: readonly SourceState[]): string => {
  const names = states.map(({ source }) => source.name)
  return names.length <= 3
    ? names.join(names.length === 2 ? ' and ' : ', ')
    : `${names.slice(0, 2).join(', ')} and ${names.length - 2} more`
}

/** The failure without its address: what failed is said in the same sentence. */
const whyFailed = ({ ended }: SourceState): string =>
  trimmed(ended?.error?.message ?? ended?.statusReason.replace(/^failed: /, '') ?? '')

function failedVerdict(failed: readonly SourceState[], nowMs: number): Verdict {
  const [first] = failed
  const at = first?.ended?.finishedAt
  const when = at ? ` ${agoText(Date.parse(at), nowMs)}` : ''
  const sentence =
    failed.length === 1 && first
      ? `Backup of ${first.source.name} failed${when}: ${whyFailed(first)}.`
      : `The last backups of ${list(failed)} failed.`
  const kept = failed.filter(({ snapshot }) => snapshot !== null).length
  const detail =
    kept === failed.length
      ? 'Earlier snapshots are still there to restore from.'
      : 'There is no earlier snapshot to restore from: look at the reason and try again.'
  return { tone: 'bad', sentence, detail }
}

function lastBackupText(states: readonly SourceState[], nowMs: number): string {
  const times = states.flatMap(({ snapshot }) => (snapshot ? [Date.parse(snapshot.createdAt)] : []))
  return times.length === 0 ? '' : `; last backup ${agoText(Math.max(...times), nowMs)}`
}

const subject = (states: readonly SourceState[]): string =>
  states.length === 1 ? (states[0]?.source.name ?? '') : `All ${countOf(states.length, 'folder')}`

const verb = (states: readonly SourceState[]): string => (states.length === 1 ? 'is' : 'are')

function goodVerdict(states: readonly SourceState[], nowMs: number): Verdict {
  const running = states.filter(({ live }) => live !== null)
  const verified = states.filter(({ snapshot }) => snapshot?.verifiedWell === true).length
  const proof =
    verified === 0
      ? 'No snapshot has been verified yet: open one to have every byte checked.'
      : verified < states.length
        ? `${verified} of the ${states.length} newest snapshots ${verified === 1 ? 'is' : 'are'} verified byte for byte.`
        : `${states.length === 1 ? 'Its' : 'Every'} newest snapshot was verified byte for byte.`
  return {
    tone: 'good',
    sentence: `${subject(states)} ${verb(states)} protected${lastBackupText(states, nowMs)}.`,
    detail: running.length > 0 ? `Backing up ${list(running)} now.` : proof,
  }
}

/** How everything stands, in one sentence about the worst of it. `states` is not empty. */
export function verdictOf(states: readonly SourceState[], nowMs: number): Verdict {
  const failed = only(states, 'failed')
  if (failed.length > 0) return failedVerdict(failed, nowMs)
  const damaged = only(states, 'damaged')
  if (damaged.length > 0) {
    return {
      tone: 'bad',
      sentence: `The newest snapshot of ${list(damaged)} is damaged.`,
      detail: 'Back it up again, and look at the pool it rests in.',
    }
  }
  const unprotected = only(states, 'unprotected')
  if (unprotected.length > 0) {
    return {
      tone: 'warn',
      sentence: `${list(unprotected)} ${verb(unprotected)} not protected yet.`,
      detail: 'Back it up now to have a first snapshot.',
    }
  }
  const first = only(states, 'first')
  if (first.length > 0) {
    return {
      tone: 'moving',
      sentence: `Backing up ${list(first)} for the first time.`,
      detail: 'It is protected once this backup has completed.',
    }
  }
  const paused = only(states, 'paused')
  if (paused.length > 0) {
    return {
      tone: 'warn',
      sentence: `The backup of ${list(paused)} is paused.`,
      detail: 'Resume it to go on from where it was.',
    }
  }
  const incomplete = only(states, 'incomplete')
  if (incomplete.length > 0) {
    return {
      tone: 'warn',
      sentence: `${subject(states)} ${verb(states)} protected, but the last backup of ${list(incomplete)} had warnings.`,
      detail: 'Its warnings say which files were not read as they should be.',
    }
  }
  const stopped = only(states, 'stopped')
  if (stopped.length === 0) return goodVerdict(states, nowMs)
  return {
    tone: 'warn',
    sentence: `The last backup of ${list(stopped)} was cancelled.`,
    detail: 'Earlier snapshots are still there to restore from.',
  }
}
