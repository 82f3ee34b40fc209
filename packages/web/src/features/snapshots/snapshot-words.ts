import type { SnapshotWire } from '@holdfast/sdk'
import type { Tone } from '../../ui/badge.tsx'
import type { IconName } from '../../ui/icon.tsx'

export interface VerifiedLook {
  tone: Tone
  icon: IconName
  word: string
  /** For tiles. */
  short: string
}

export function verifiedLook({ verifiedWell }: SnapshotWire): VerifiedLook {
  if (verifiedWell === true) {
    return { tone: 'good', icon: 'shield', word: 'Verified byte for byte', short: 'Verified' }
  }
  if (verifiedWell === false) {
    return { tone: 'bad', icon: 'alert', word: 'Damaged', short: 'Damaged' }
  }
  return { tone: 'still', icon: 'clock', word: 'Not verified yet', short: 'Not verified' }
}

export interface Step {
  name: string
  path: string
}

/** The way from the root of a snapshot to `path`, both included. */
export function stepsTo(path: string, rootName: string): Step[] {
  const steps: Step[] = [{ name: rootName, path: '' }]
  let walked = ''
  for (const part of path.split('/').filter((name) => name !== '')) {
    walked = walked === '' ? part : `${walked}/${part}`
    steps.push({ name: part, path: walked })
  }
  return steps
}
