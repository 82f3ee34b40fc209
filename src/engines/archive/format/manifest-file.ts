import { createReadStream, statSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { AppError } from '../../../core/errors.ts'
import type { Json, JsonObject } from '../../../core/json.ts'
import { COMPRESSIONS, MANIFEST_VERSION, type ManifestLine } from './manifest.ts'

const damaged = (what: string, cause?: unknown): AppError =>
  new AppError('damaged', `the manifest is damaged: ${what}`, { what }, cause)

const toLine = (line: ManifestLine): string => `${JSON.stringify(line)}\n`

/** A line as it stands in the manifest, its newline included. */
export const encodeManifestLine = toLine

type Kind = 'string' | 'count' | 'integer'

/** The fields that each line must have; those that it may have are checked where they are. */
const REQUIRED: Readonly<Record<ManifestLine['line'], Readonly<Record<string, Kind>>>> = {
  start: { version: 'count', compression: 'string', createdAtMs: 'integer' },
  entry: {
    path: 'string',
    type: 'string',
    bytes: 'count',
    mode: 'count',
    uid: 'count',
    gid: 'count',
    modifiedAtNs: 'string',
    offset: 'count',
  },
  frame: { tarOffset: 'count', archiveOffset: 'count' },
  end: {
    entryCount: 'count',
    fileCount: 'count',
    contentBytes: 'count',
    tarBytes: 'count',
    archiveBytes: 'count',
    sha256: 'string',
  },
}

const OPTIONAL_TEXT = ['pathBytes', 'linkTarget', 'linkTargetBytes', 'sha256', 'links'] as const
const ENTRY_TYPES: readonly Json[] = ['file', 'directory', 'symlink', 'hardlink']
const NS = /^-?[0-9]{1,20}$/

function isKind(value: Json | undefined, kind: Kind): boolean {
  if (kind === 'string') return typeof value === 'string'
  return Number.isSafeInteger(value) && (kind === 'integer' || Number(value) >= 0)
}

function checkEntry(line: JsonObject): void {
  if (!ENTRY_TYPES.includes(line['type'] ?? null)) throw damaged('an entry of unknown type')
  if (!NS.test(String(line['modifiedAtNs']))) throw damaged('an entry with an unreadable time')
  for (const field of OPTIONAL_TEXT) {
    const value = line[field]
    if (value !== undefined && typeof value !== 'string') throw damaged(`an odd ${field}`)
  }
  if (line['sparse'] !== undefined && line['sparse'] !== true) throw damaged('an odd sparse')
  const xattrs = line['xattrs']
  if (xattrs === undefined) return
  const values = typeof xattrs === 'object' && xattrs !== null ? Object.values(xattrs) : [null]
  if (values.some((value) => typeof value !== 'string')) throw damaged('odd extended attributes')
}

/** Reads one line; throws `damaged` where it is none. */
export function parseManifestLine(text: string): ManifestLine {
  let line: JsonObject
  try {
    line = JSON.parse(text)
  } catch (error) {
    throw damaged('a line is no JSON', error)
  }
  const kind = typeof line === 'object' && line !== null ? line['line'] : undefined
  if (typeof kind !== 'string' || !Object.hasOwn(REQUIRED, kind)) throw damaged('an unknown line')
  const required = REQUIRED[kind as ManifestLine['line']]
  for (const field in required) {
    const want = required[field]
    if (want !== undefined && !isKind(line[field], want)) throw damaged(`${kind} without ${field}`)
  }
  if (kind === 'entry') checkEntry(line)
  if (kind === 'start') {
    if (line['version'] !== MANIFEST_VERSION) {
      throw new AppError(
        'invalid',
        `this manifest is of version ${line['version']}; this Holdfast reads version ${MANIFEST_VERSION}`,
      )
    }
    if (!(COMPRESSIONS as readonly Json[]).includes(line['compression'] ?? null)) {
      throw damaged('an unknown compression')
    }
  }
  // Every field that the type promises was looked at above.
  return line as unknown as ManifestLine
}

/** Longer than any path and its attributes can make a line: the reader holds no more than this. */
const LINE_BYTES_MAX = 2 * 1024 * 1024
const NEWLINE = 0x0a

/** How much a manifest can hold that belongs to an archive of which the record is known. */
export interface ManifestBounds {
  /** As it rests; `null` where that was not recorded. */
  readonly packedBytes: number | null
  readonly textBytes: number
  readonly lineCount: number
}

const UNBOUNDED: ManifestBounds = {
  packedBytes: null,
  textBytes: Number.POSITIVE_INFINITY,
  lineCount: Number.POSITIVE_INFINITY,
}

/** Opens a manifest that may have been replaced: `damaged` where it has another size than was written. */
export function openManifest(path: string, bounds: ManifestBounds): Readable {
  const { size } = statSync(path)
  if (bounds.packedBytes !== null && size !== bounds.packedBytes) {
    throw damaged(`it has ${size} bytes, not the ${bounds.packedBytes} that were written`)
  }
  return createReadStream(path)
}

/** The lines of a gzipped manifest as text, in batches, in order. Holds one chunk and one line. */
export async function* readManifestTexts(
  source: Readable,
  bounds: ManifestBounds = UNBOUNDED,
): AsyncGenerator<readonly string[]> {
  const gunzip = createGunzip({ chunkSize: 256 * 1024 })
  source.once('error', (error) => gunzip.destroy(error))
  source.pipe(gunzip)
  let rest: Buffer[] = []
  let restBytes = 0
  let textBytes = 0
  let lineCount = 0
  try {
    for await (const chunk of gunzip as AsyncIterable<Buffer>) {
      textBytes += chunk.length
      if (textBytes > bounds.textBytes)
        throw damaged('it unpacks to more than its archive can hold')
      const end = chunk.lastIndexOf(NEWLINE)
      if (end < 0) {
        rest.push(chunk)
        restBytes += chunk.length
        if (restBytes > LINE_BYTES_MAX) throw damaged('a line without an end')
        continue
      }
      const text = Buffer.concat([...rest, chunk.subarray(0, end)]).toString('utf8')
      rest = [chunk.subarray(end + 1)]
      restBytes = chunk.length - end - 1
      const lines = text.split('\n')
      lineCount += lines.length
      if (lineCount > bounds.lineCount) throw damaged('it lists more than its archive can hold')
      yield lines
    }
  } catch (error) {
    if (error instanceof AppError) throw error
    const code = (error as NodeJS.ErrnoException).code ?? ''
    throw code.startsWith('Z_') ? damaged('it cannot be unpacked', error) : error
  } finally {
    source.destroy()
    gunzip.destroy()
  }
  if (restBytes > 0) throw damaged('it was cut')
}

/**
 * The lines of a gzipped manifest in batches (one async step for many lines).
 * Throws `damaged` unless it begins with `start` and closes with `end`, also
 * when the manifest was cut: act on what was read only when this has ended.
 */
export async function* readManifestBatches(
  source: Readable,
  bounds: ManifestBounds = UNBOUNDED,
): AsyncGenerator<readonly ManifestLine[]> {
  let began = false
  let ended = false
  for await (const texts of readManifestTexts(source, bounds)) {
    const lines = texts.map(parseManifestLine)
    for (const { line } of lines) {
      if (ended) throw damaged('it goes on after its end')
      if (began === (line === 'start')) throw damaged('it does not begin with its start')
      began = true
      ended = line === 'end'
    }
    yield lines
  }
  if (!ended) throw damaged('it was cut')
}

/** Like `readManifestBatches`, line by line. */
export async function* readManifest(source: Readable): AsyncGenerator<ManifestLine> {
  for await (const lines of readManifestBatches(source)) yield* lines
}
