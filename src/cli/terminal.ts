import { styleText } from 'node:util'
import { UNPRINTABLE } from '../core/names.ts'

type Style = Parameters<typeof styleText>[0]

interface Output {
  write(text: string): unknown
  readonly isTTY?: boolean
  readonly columns?: number
  on(event: 'resize' | 'error', listener: (error?: Error) => void): unknown
  off(event: 'resize' | 'error', listener: (error?: Error) => void): unknown
}

export interface TerminalOptions {
  readonly stdout: Output
  readonly stderr: Output
  readonly env: Readonly<Record<string, string | undefined>>
  readonly json: boolean
}

const COLUMNS_DEFAULT = 80

/** JSON may hold what steers a terminal; the same text in escapes steers none, and means the same. */
const escapeControls = (json: string): string =>
  json.replace(UNPRINTABLE, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`)

/**
 * Where a command speaks. Results go to standard output; everything that is
 * only for the person in front of it goes to standard error.
 */
export class Terminal {
  readonly json: boolean
  readonly #options: TerminalOptions
  readonly #colours: boolean
  #broken = false

  constructor(options: TerminalOptions) {
    this.#options = options
    this.json = options.json
    // https://no-color.org: any value that is not empty.
    this.#colours = options.stderr.isTTY === true && !options.env['NO_COLOR']
    // A reader that has enough, such as `head`, is no failure of ours.
    options.stdout.on('error', () => {
      this.#broken = true
    })
    options.stderr.on('error', () => {
      // Nobody is left to tell.
    })
  }

  /** Whether a person watches, so that lines may be drawn again in place. */
  get drawsInPlace(): boolean {
    const { stderr, env } = this.#options
    return !this.json && stderr.isTTY === true && env['TERM'] !== 'dumb'
  }

  get columns(): number {
    return this.#options.stderr.columns ?? COLUMNS_DEFAULT
  }

  onResize(listener: () => void): () => void {
    this.#options.stderr.on('resize', listener)
    return () => this.#options.stderr.off('resize', listener)
  }

  /** One line of the result. */
  line(text: string): void {
    if (!this.#broken) this.#options.stdout.write(`${text}\n`)
  }

  /** One line that is a JSON object. */
  object(value: unknown): void {
    this.line(escapeControls(JSON.stringify(value)))
  }

  /** A line for the person; silent where a program reads. */
  note(text: string): void {
    if (!this.json) this.#options.stderr.write(`${text}\n`)
  }

  /** As it is: for drawing. */
  draw(text: string): void {
    this.#options.stderr.write(text)
  }

  style(style: Style, text: string): string {
    // The decision is ours: NO_COLOR, and whether standard error is a terminal.
    return this.#colours ? styleText(style, text, { validateStream: false }) : text
  }
}
