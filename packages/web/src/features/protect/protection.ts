import type { Holdfast, NewSource, OperationWire } from '@holdfast/sdk'

export const COMPRESSIONS = ['zstd', 'gzip', 'none'] as const

export type Compression = (typeof COMPRESSIONS)[number]

/** What the person has chosen so far. */
export interface Protection {
  readonly path: string
  /** Empty while the name of the folder is taken. */
  readonly name: string
  readonly ignore: string
  readonly compression: Compression
}

export const NOTHING_CHOSEN: Protection = { path: '', name: '', ignore: '', compression: 'zstd' }

/** The last part of a path: what a folder is called. */
export function folderName(path: string): string {
  const parts = path.split(/[\\/]+/).filter((part) => part !== '')
  return parts.at(-1) ?? path
}

export const nameOf = ({ name, path }: Protection): string => name.trim() || folderName(path)

export function toSource(protection: Protection): NewSource {
  const { path, ignore, compression } = protection
  return {
    kind: 'directory',
    name: nameOf(protection),
    config: { path, ...(ignore.trim() === '' ? {} : { ignore }), compression },
  }
}

/** Quotes for a shell where it must be. */
export const shellWord = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`

export function cliEquivalent(protection: Protection): string {
  const words = ['holdfast', 'backup', shellWord(protection.path || '/path/of/the/folder')]
  if (protection.name.trim() !== '') words.push('--name', shellWord(protection.name.trim()))
  if (protection.compression !== 'zstd') words.push('--compression', protection.compression)
  for (const line of protection.ignore.split('\n')) {
    if (line.trim() !== '') words.push('--ignore', shellWord(line.trim()))
  }
  return words.join(' ')
}

export const curlPost = (address: string, body: object): string =>
  `curl -X POST ${address} \\\n  -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\\n  -d ${shellWord(JSON.stringify(body))}`

export function apiEquivalent(protection: Protection, origin: string): string {
  const source = curlPost(`${origin}/api/v1/sources`, toSource(protection))
  const backup = curlPost(`${origin}/api/v1/operations`, {
    kind: 'backup',
    sourceId: 'the id answered above',
  })
  return `${source}\n${backup}`
}

/**
 * Makes the source, then starts its first backup. A second try after a refusal
 * goes on with the source that the first one made: `made` remembers it.
 */
export async function startProtection(
  holdfast: Holdfast,
  protection: Protection,
  made: { id: string | null },
): Promise<OperationWire> {
  made.id ??= (await holdfast.sources.create(toSource(protection))).id
  return await holdfast.operations.submit({ kind: 'backup', sourceId: made.id })
}
