import { type BarState, renderBar } from './bar.ts'
import { widthOfText } from './format.ts'
import type { Terminal } from './terminal.ts'

const REDRAW_MS = 100
const CLEAR_BELOW = '\u001b[J'
const HIDE_CURSOR = '\u001b[?25l'
const SHOW_CURSOR = '\u001b[?25h'

/** Two lines that are drawn again in place while an operation runs. */
export class LiveBar {
  readonly #terminal: Terminal
  readonly #leaveResize: () => void
  #state: BarState | null = null
  #drawn: readonly string[] = []
  #timer: ReturnType<typeof setTimeout> | null = null
  #stopped = false

  constructor(terminal: Terminal) {
    this.#terminal = terminal
    this.#leaveResize = terminal.onResize(() => this.#draw())
    terminal.draw(HIDE_CURSOR)
  }

  show(state: BarState): void {
    this.#state = state
    if (this.#stopped || this.#timer !== null) return
    this.#draw()
    this.#timer = setTimeout(() => {
      this.#timer = null
      this.#draw()
    }, REDRAW_MS)
  }

  /** A line that stays, above those that are drawn again. */
  note(text: string): void {
    this.#terminal.draw(`${this.#goBack()}${CLEAR_BELOW}${text}\n`)
    this.#drawn = []
    this.#draw()
  }

  /** Takes the lines away: what follows says how it went. */
  stop(): void {
    if (this.#stopped) return
    this.#stopped = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#leaveResize()
    this.#terminal.draw(this.#goBack() + CLEAR_BELOW + SHOW_CURSOR)
  }

  #draw(): void {
    if (this.#state === null || this.#stopped) return
    // One column stays free: some terminals wrap when the last one is written.
    const lines = renderBar(this.#state, Math.max(1, this.#terminal.columns - 1))
    this.#terminal.draw(`${this.#goBack()}${CLEAR_BELOW}${lines.join('\n')}\n`)
    this.#drawn = lines
  }

  /** A terminal that was made narrower has wrapped what was drawn: count its rows as they are now. */
  #goBack(): string {
    const { columns } = this.#terminal
    const rows = this.#drawn.reduce(
      (sum, line) => sum + Math.max(1, Math.ceil(widthOfText(line) / columns)),
      0,
    )
    return rows === 0 ? '\r' : `\r\u001b[${rows}A`
  }
}
