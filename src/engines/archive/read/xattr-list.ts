import { closeSync, openSync, writeSync } from 'node:fs'
import type { MemberPath } from '../format/member-path.ts'

/** What `setfattr --restore` reads: names with odd bytes as three octal digits behind a backslash. */
const quoted = (latin1: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must be quoted
  latin1.replace(/[\u0000-\u0020\\=\u007f-\u00ff]/g, (char) => {
    return `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`
  })

/**
 * Extended attributes of a tree, in the form that `setfattr --restore` takes:
 * Node has no call for them. Nothing is written where there are none.
 */
export class XattrList {
  readonly #path: string
  readonly #root: string
  #file: number | null = null

  constructor(path: string, root: string) {
    this.#path = path
    this.#root = Buffer.from(root).toString('latin1')
  }

  add(path: MemberPath, xattrs: ReadonlyMap<string, Buffer> | null): void {
    if (xattrs === null) return
    this.#file ??= openSync(this.#path, 'w', 0o600)
    const lines = [`# file: ${quoted(`${this.#root}/${path.key}`)}`]
    for (const [name, value] of xattrs) {
      const key = quoted(Buffer.from(name).toString('latin1'))
      lines.push(`${key}=0s${value.toString('base64')}`)
    }
    writeSync(this.#file, `${lines.join('\n')}\n\n`)
  }

  /** Whether there are any. */
  close(): boolean {
    if (this.#file === null) return false
    closeSync(this.#file)
    this.#file = null
    return true
  }
}
