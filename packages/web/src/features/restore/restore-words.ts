import type { OperationWire, VerifyRequest } from '@holdfast/sdk'
import { bytesText, countOf } from '../../ui/amounts.ts'

const numberOf = (value: unknown): number | null => (typeof value === 'number' ? value : null)

/** How much was written, and where: only what the server said of it. */
function writtenText(result: Record<string, unknown>): string {
  const files = numberOf(result['files'])
  const links = numberOf(result['links']) ?? 0
  const bytes = numberOf(result['bytes'])
  const target = result['target']
  if (files === null) return 'The restore has finished.'
  const size = bytes === null ? '' : ` (${bytesText(bytes)})`
  const also = links === 0 ? '' : ` and ${countOf(links, 'link')}`
  const verb = files + links === 1 ? 'was written' : 'were written'
  const where = typeof target === 'string' ? ` to ${target}` : ''
  return `${countOf(files, 'file')}${size}${also} ${verb}${where}.`
}

const PROOFS: Readonly<Record<string, string>> = {
  matched:
    'On the way each file was compared with what was backed up; the folder itself was not read again.',
  missing:
    'The archive was checked as a whole; its files could not be compared, as its manifest is missing.',
}

/** What to compare with the snapshot now, and what of it; `null` where there is no manifest to compare with. */
export function restoredFolder({
  input,
  result,
}: Pick<OperationWire, 'input' | 'result'>): VerifyRequest | null {
  const path = result?.['target']
  if (typeof path !== 'string' || result?.['manifest'] === 'missing') return null
  const paths = input['paths']
  const isPart = Array.isArray(paths) && paths.every((one) => typeof one === 'string')
  return isPart ? { target: { path }, paths } : { target: { path } }
}

/**
 * What a restore proved and what it did not: its bytes were compared with the
 * snapshot on their way to the disk, and nobody has read them back since.
 */
export function restoreSentence({ result }: Pick<OperationWire, 'result'>): string {
  const written = writtenText(result ?? {})
  const proof = PROOFS[String(result?.['manifest'])]
  return proof === undefined ? written : `${written} ${proof}`
}
