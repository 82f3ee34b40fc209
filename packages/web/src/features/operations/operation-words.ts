import { isFinal, type OperationWire } from '@holdfast/sdk'
import type { Tone } from '../../ui/badge.tsx'
import type { IconName } from '../../ui/icon.tsx'
import type { BarTone } from '../../ui/progress-bar.tsx'

export interface StatusLook {
  tone: Tone
  icon: IconName
  word: string
}

const LOOKS = {
  pending: { tone: 'still', icon: 'clock', word: 'Pending' },
  running: { tone: 'moving', icon: 'play', word: 'Running' },
  paused: { tone: 'warn', icon: 'pause', word: 'Paused' },
  completed: { tone: 'good', icon: 'check', word: 'Completed' },
  failed: { tone: 'bad', icon: 'alert', word: 'Failed' },
  cancelled: { tone: 'still', icon: 'ban', word: 'Cancelled' },
  expired: { tone: 'still', icon: 'clock', word: 'Expired' },
} as const satisfies Record<OperationWire['status'], StatusLook>

const DAMAGED: StatusLook = { tone: 'bad', icon: 'alert', word: 'Damage found' }
const DIFFERENT: StatusLook = { ...DAMAGED, word: 'Differences found' }

/** How a status is shown. A wish that is not yet honoured is said as such. */
export function statusLook(operation: OperationWire): StatusLook {
  const { status, intent, outcome } = operation
  if (!isFinal(status) && intent === 'pause') return { ...LOOKS.paused, word: 'Pausing…' }
  if (!isFinal(status) && intent === 'cancel') return { ...LOOKS.cancelled, word: 'Cancelling…' }
  if (status === 'completed' && foundDamage(operation)) {
    // Of the folder that was compared: the snapshot itself may be well.
    return operation.input?.['target'] == null ? DAMAGED : DIFFERENT
  }
  if (status === 'completed' && outcome === 'warning') {
    return { tone: 'warn', icon: 'alert', word: 'Completed with warnings' }
  }
  return LOOKS[status]
}

/** Whether a verify ended well and brought bad news. */
export const foundDamage = (operation: OperationWire): boolean =>
  operation.kind === 'verify' && Number(operation.result?.['damageCount'] ?? 0) > 0

/** A bar stands still while nobody can know whether it moves. */
export function barTone(operation: OperationWire, isOffline: boolean): BarTone {
  if (operation.status === 'running' && operation.intent === null) {
    return isOffline ? 'still' : 'moving'
  }
  if (operation.status === 'failed' || foundDamage(operation)) return 'bad'
  if (operation.status === 'completed') return operation.outcome === 'warning' ? 'warn' : 'good'
  return 'still'
}

const KIND_NAMES: Readonly<Record<string, string>> = {
  backup: 'Backup',
  restore: 'Restore',
  verify: 'Verify',
  prune: 'Prune',
  upload: 'Upload',
}

export const kindName = (kind: string): string =>
  KIND_NAMES[kind] ?? kind.charAt(0).toUpperCase() + kind.slice(1)

export const operationTitle = (operation: OperationWire, sourceName: string): string =>
  sourceName === '' ? kindName(operation.kind) : `${kindName(operation.kind)} of ${sourceName}`

export function phaseText(phase: string): string {
  const words = phase.replace(/[_-]+/g, ' ').trim()
  return words.charAt(0).toUpperCase() + words.slice(1)
}

export const asSentence = (text: string): string => {
  const trimmed = text.trim()
  if (trimmed === '') return ''
  const ended = /[.!?…]$/.test(trimmed) ? trimmed : `${trimmed}.`
  return ended.charAt(0).toUpperCase() + ended.slice(1)
}

export const KIND_ICONS: Readonly<Record<string, IconName>> = {
  backup: 'archive',
  restore: 'restore',
  verify: 'shield',
}

export const kindIcon = (kind: string): IconName => KIND_ICONS[kind] ?? 'operations'

/** `42 %` or, while the total is unknown, the word for what goes on. */
export const percentText = (operation: OperationWire): string =>
  operation.progress.percent === null
    ? phaseText(operation.progress.phase)
    : `${operation.progress.percent} %`
