import type { RestoreRequest, SnapshotWire } from '@holdfast/sdk'
import { bytesText, countOf } from '../../ui/amounts.ts'
import { shellWord } from '../protect/protection.ts'

export type What = 'all' | 'selected'
export type Where = 'original' | 'elsewhere'
export type Mode = 'merge' | 'replace'

export interface RestorePlan {
  readonly what: What
  readonly paths: readonly string[]
  readonly where: Where
  /** Of the other folder. */
  readonly path: string
  readonly mode: Mode
}

export const isReady = (plan: RestorePlan): boolean =>
  (plan.where === 'original' || plan.path.trim() !== '') &&
  (plan.what === 'all' || plan.paths.length > 0)

export function toRequest({ what, paths, where, path, mode }: RestorePlan): RestoreRequest {
  return {
    mode,
    ...(where === 'elsewhere' ? { target: { path: path.trim() } } : {}),
    ...(what === 'selected' ? { paths } : {}),
  }
}

/** What will happen, before it does: in whole sentences, the worst first. */
export function planSentence(plan: RestorePlan, snapshot: SnapshotWire, original: string): string {
  const place = plan.where === 'original' ? original : plan.path.trim() || 'the folder you choose'
  const what =
    plan.what === 'all'
      ? `${countOf(snapshot.itemCount, 'file')} (${bytesText(snapshot.contentBytes)})`
      : `${countOf(plan.paths.length, 'selected item')}, with all that is below,`
  const effect =
    plan.mode === 'merge'
      ? 'Files of the same name there are overwritten; everything else there stays.'
      : `The whole folder is swapped: what is in ${place} now and not in this restore is gone.`
  return `${what} will be written to ${place}. ${effect}`
}

export function cliOf(plan: RestorePlan, snapshotId: string): string {
  const words = ['holdfast', 'restore', snapshotId]
  if (plan.where === 'elsewhere') {
    words.push('--to', shellWord(plan.path.trim() || '/path/of/a/folder'))
  }
  words.push('--mode', plan.mode)
  if (plan.what === 'selected') {
    for (const path of plan.paths) words.push('--path', shellWord(path))
  }
  return words.join(' ')
}
