import { isUtf8 } from 'node:buffer'
import { closeSync } from 'node:fs'
import { startCommand } from '../../../platform/command.ts'
import { systemCodeOf } from '../../../platform/files.ts'
import {
  type KnownFolder,
  openKnownFolder,
  pathOfOpened,
} from '../../../platform/folder-identity.ts'

/** By path (relative to the root, latin1; `''` is the root): names, and values in base64. */
export type XattrMap = ReadonlyMap<string, readonly (readonly [string, string])[]>

/** What became of the extended attributes of a tree. `not looked for`: this machine has no `getfattr`. */
export type XattrFate = 'kept' | 'none' | 'not looked for'

export interface TreeXattrs {
  readonly values: XattrMap
  /** Paths whose attributes cannot be kept, and how many more there are. */
  readonly lost: readonly string[]
  readonly lostMore: number
  /** `false` where this machine has no `getfattr`: nobody looked. */
  readonly looked: boolean
}

const COMMAND_ENV = { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C' }
/** Without following links, every name space, values in base64. */
const ARGS = ['-R', '-P', '-h', '-d', '-m', '-', '-e', 'base64', '--', '.']
const LINE_LENGTH_MAX = 96 * 1024
/** What all attributes of a tree together may take of our memory. */
const KEPT_BYTES_MAX = 16 * 1024 * 1024
const ENTRY_BYTES_MAX = 64 * 1024
const LOST_TOLD_MAX = 100
const FILE = '# file: '

/** getfattr writes backslashes and odd bytes as three octal digits. */
const unquote = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  )

const toText = (latin1: string): string => Buffer.from(latin1, 'latin1').toString('utf8')

function pathOf(text: string): string {
  const path = unquote(text)
  if (path === '.') return ''
  return path.startsWith('./') ? path.slice(2) : path
}

/**
 * Name and value (base64) of one line; `null` where it is none that can be
 * kept: a record of a tar has no way to say a name that is no UTF-8.
 */
function attributeOf(line: string): readonly [string, string] | null {
  if (line.length >= LINE_LENGTH_MAX) return null
  const equals = line.indexOf('=')
  const bytes = Buffer.from(unquote(equals < 0 ? line : line.slice(0, equals)), 'latin1')
  if (!isUtf8(bytes)) return null
  const name = bytes.toString('utf8')
  const value = equals < 0 ? '' : line.slice(equals + 1)
  if (value === '' || value === '""') return [name, '']
  return value.startsWith('0s') ? [name, value.slice(2)] : null
}

/** Gathers what getfattr prints, one character a byte, within bounds. */
export class XattrReader {
  readonly #values = new Map<string, (readonly [string, string])[]>()
  readonly #lost = new Set<string>()
  #lostMore = 0
  #bytes = 0
  #path: string | null = null
  #text = ''
  #entryBytes = 0

  take(line: string): void {
    if (line === '') return
    if (line.startsWith(FILE)) {
      this.#text = line.slice(FILE.length)
      this.#path = pathOf(this.#text)
      this.#entryBytes = 0
      return
    }
    const attribute = attributeOf(line)
    this.#entryBytes += line.length
    const fits = this.#entryBytes <= ENTRY_BYTES_MAX && this.#bytes + line.length <= KEPT_BYTES_MAX
    if (this.#path === null || attribute === null || !fits) {
      this.#lose()
      return
    }
    this.#bytes += line.length
    const list = this.#values.get(this.#path) ?? []
    list.push(attribute)
    this.#values.set(this.#path, list)
  }

  result(looked: boolean): TreeXattrs {
    const lost = [...this.#lost].map((text) => toText(unquote(text)))
    return { values: this.#values, lost, lostMore: this.#lostMore, looked }
  }

  #lose(): void {
    if (this.#lost.has(this.#text)) return
    if (this.#lost.size < LOST_TOLD_MAX) this.#lost.add(this.#text)
    else this.#lostMore += 1
  }
}

export const fateOf = ({ values, looked }: TreeXattrs): XattrFate => {
  if (!looked) return 'not looked for'
  return values.size === 0 ? 'none' : 'kept'
}

/**
 * The extended attributes of a tree. Node has no call for them, so the command
 * that knows them is asked, once for the whole tree, where there is one.
 */
export async function readXattrs(root: KnownFolder, signal: AbortSignal): Promise<TreeXattrs> {
  const descriptor = openKnownFolder(root)
  try {
    return await readFrom(pathOfOpened(descriptor, root), signal)
  } finally {
    closeSync(descriptor)
  }
}

async function readFrom(cwd: string, signal: AbortSignal): Promise<TreeXattrs> {
  const reader = new XattrReader()
  const running = startCommand('getfattr', ARGS, {
    signal,
    env: COMMAND_ENV,
    cwd,
    lineLengthMax: LINE_LENGTH_MAX,
    encoding: 'latin1',
  })
  try {
    for await (const line of running.lines) reader.take(line)
    await running.exit
    signal.throwIfAborted()
    return reader.result(true)
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return reader.result(false)
    throw error
  }
}
