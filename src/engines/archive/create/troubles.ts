import { WARNINGS_KEPT_MAX, type Warning } from '../../../core/outcome.ts'
import { toBytes, type WalkTrouble } from './walk.ts'

export const TROUBLE_CODES = [
  'changed_while_read',
  'shrunk_while_read',
  'grown_while_read',
  'vanished',
  'unreadable',
  'skipped_special',
  'skipped_own_data',
  'xattr_lost',
] as const

export type TroubleCode = (typeof TROUBLE_CODES)[number]

export type TroubleNews =
  | { readonly is: 'warning'; readonly warning: Warning }
  /** Warnings beyond those that are kept word for word. */
  | { readonly is: 'more'; readonly code: TroubleCode; readonly count: number }

const SENTENCES = {
  changed_while_read: 'changed while it was read',
  shrunk_while_read: 'became shorter while it was read; what is missing is zeros',
  grown_while_read: 'grew while it was read; the archive has it as long as it was at first',
  vanished: 'was gone when it was to be read',
  unreadable: 'could not be read',
  skipped_special: 'is a socket, a FIFO or a device: it has no content to keep',
  skipped_own_data: 'is a folder of Holdfast itself: it is left out',
  xattr_lost: 'has extended attributes that could not be kept',
} as const satisfies Record<TroubleCode, string>

/** Where it was told how the file call failed, the code says it to those who know. */
const detail = (errno: string): string => (errno === '' ? '' : ` (${errno})`)

/** Tells the engine what is not as it should be. Beyond a limit it is only counted: a tree can be full of it. */
export class Troubles {
  readonly #say: (news: TroubleNews) => void
  readonly #more = new Map<TroubleCode, number>()
  #told = 0

  constructor(say: (news: TroubleNews) => void) {
    this.#say = say
  }

  add(code: TroubleCode, path: string, note = ''): void {
    if (this.#told >= WARNINGS_KEPT_MAX) {
      this.#more.set(code, (this.#more.get(code) ?? 0) + 1)
      return
    }
    this.#told += 1
    const item = path === '' ? '.' : toBytes(path).toString('utf8')
    this.#say({
      is: 'warning',
      warning: { code, message: `${item} ${SENTENCES[code]}${note}`, item },
    })
  }

  /** A file call failed for `path`. */
  file(path: string, errno: string): void {
    const gone = ['ENOENT', 'ENOTDIR', 'ELOOP', 'ESTALE'].includes(errno)
    this.add(gone ? 'vanished' : 'unreadable', path, detail(errno))
  }

  walk({ code, path, errno }: WalkTrouble): void {
    this.add(code, path, detail(errno))
  }

  flush(): void {
    for (const [code, count] of this.#more) this.#say({ is: 'more', code, count })
    this.#more.clear()
  }
}
