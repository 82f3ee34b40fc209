import type { OperationWire } from '@holdfast/sdk'
import { countOf } from '../../ui/amounts.ts'
import { foundDamage } from './operation-words.ts'

const EXTRAS_NAMED_MAX = 5

/** The folder that was compared with a snapshot; `null` where the snapshot itself was verified. */
export function comparedFolder({
  kind,
  input,
}: Pick<OperationWire, 'kind' | 'input'>): string | null {
  if (kind !== 'verify') return null
  const target = input['target'] as { path?: unknown } | null | undefined
  return typeof target?.path === 'string' ? target.path : null
}

/** What is in the folder besides: no difference, and worth knowing. */
function extraText(result: Record<string, unknown>): string {
  const count = Number(result['extraCount'] ?? 0)
  if (count === 0) return ''
  const extras = (result['extras'] ?? []) as readonly { path: string }[]
  const named = extras.slice(0, EXTRAS_NAMED_MAX).map(({ path }) => path)
  const more = count - named.length
  const names = more > 0 ? [...named, `${more} more`] : named
  return ` It also holds what is not in the snapshot: ${names.join(', ')}.`
}

/** What a verify found, in a sentence. */
export function verifySentence(operation: OperationWire): string {
  const folder = comparedFolder(operation)
  const result = operation.result ?? {}
  const damaged = foundDamage(operation)
  if (folder === null) {
    return damaged
      ? 'The snapshot is damaged: some of its bytes are not what was backed up. Back its source up again while that is there.'
      : 'Every byte of the snapshot is what was backed up.'
  }
  if (damaged) {
    const count = countOf(Number(result['damageCount']), 'difference')
    return `${folder} is not what was backed up: ${count}, listed below.${extraText(result)}`
  }
  const what = operation.input['paths'] == null ? folder : `the chosen part of ${folder}`
  return `Every byte of ${what} is what was backed up.${extraText(result)}`
}

/** What the list of warnings is called. */
export function warningsName(operation: OperationWire): string {
  if (!foundDamage(operation)) return 'Warnings'
  return comparedFolder(operation) === null ? 'Damages' : 'Differences'
}
