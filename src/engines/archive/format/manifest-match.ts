import { createReadStream } from 'node:fs'
import { AppError } from '../../../core/errors.ts'
import type { ManifestEntry, ManifestLine } from './manifest.ts'
import { readManifestBatches } from './manifest-file.ts'
import type { TarEntry } from './tar-reader.ts'

export const mismatch = (path: string, what: string): AppError =>
  new AppError('damaged', `the archive does not match its manifest: ${path}: ${what}`, {
    entry: path,
  })

/** The name of a manifest's entry, one character a byte. */
export const keyOf = (path: string, pathBytes: string | undefined): string =>
  pathBytes === undefined
    ? Buffer.from(path).toString('latin1')
    : Buffer.from(pathBytes, 'base64').toString('latin1')

/** The entries of a manifest in order, a batch in memory at a time. */
export class ManifestEntries {
  readonly #batches: AsyncGenerator<readonly ManifestLine[]>
  #batch: readonly ManifestLine[] = []
  #index = 0

  constructor(manifestPath: string) {
    this.#batches = readManifestBatches(createReadStream(manifestPath))
  }

  /** `null` after the last one. Throws `damaged` where the manifest was cut. */
  async next(): Promise<ManifestEntry | null> {
    for (;;) {
      const line = this.#batch[this.#index]
      if (line === undefined) {
        const step = await this.#batches.next()
        if (step.done === true) return null
        this.#batch = step.value
        this.#index = 0
        continue
      }
      this.#index += 1
      if (line.line === 'entry') return line
    }
  }

  async close(): Promise<void> {
    await this.#batches.return(undefined)
  }
}

function sameXattrs(entry: TarEntry, line: ManifestEntry): boolean {
  const inTar = entry.member.xattrs
  const names = Object.keys(line.xattrs ?? {})
  if ((inTar?.size ?? 0) !== names.length) return false
  return names.every((name) => inTar?.get(name)?.toString('base64') === line.xattrs?.[name])
}

function sameLink(entry: TarEntry, line: ManifestEntry): boolean {
  const target = entry.linkPath === null ? entry.member.linkTarget : null
  if (entry.linkPath !== null) {
    return entry.linkPath.key === keyOf(line.linkTarget ?? '', line.linkTargetBytes)
  }
  if (target === null) return line.linkTarget === undefined
  return target.toString('latin1') === keyOf(line.linkTarget ?? '', line.linkTargetBytes)
}

function sameOffset(entry: TarEntry, line: ManifestEntry): boolean {
  if (line.type === 'file') return line.offset === entry.contentOffset
  return line.offset === entry.startOffset || line.offset === entry.blockOffset
}

/** What an entry of the tar has otherwise than its line in the manifest; `null` where they agree. */
export function difference(entry: TarEntry, line: ManifestEntry): string | null {
  const { member } = entry
  if (entry.path.bytes === null) {
    if (entry.path.text !== line.path || line.pathBytes !== undefined) return 'another path'
  } else if (entry.path.key !== keyOf(line.path, line.pathBytes)) return 'another path'
  if (member.type !== line.type) return 'another type'
  if (member.bytes !== line.bytes) return 'another size'
  if (member.mode !== line.mode) return 'another mode'
  if (member.uid !== line.uid || member.gid !== line.gid) return 'another owner'
  if (String(member.modifiedAtNs) !== line.modifiedAtNs) return 'another time'
  if (!sameLink(entry, line)) return 'another link target'
  if (member.sparse !== (line.sparse === true)) return 'another sparseness'
  if (!sameXattrs(entry, line)) return 'other extended attributes'
  if (!sameOffset(entry, line)) return 'another place in the archive'
  return null
}
