import type { ProgressWire } from '@holdfast/sdk'
import {
  cutText,
  formatBytes,
  formatCount,
  formatSeconds,
  printable,
  shortenPath,
  widthOfText,
} from './format.ts'

const BAR_COLUMNS_MAX = 30
const BAR_COLUMNS_MIN = 8
const SEPARATOR = '  '
const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉']

/** What is shown of an operation while it is followed. */
export interface BarState {
  readonly status: string
  readonly progress: ProgressWire
}

const bytesOf = ({ bytesDone, bytesTotal }: ProgressWire): string =>
  bytesTotal === null
    ? formatBytes(bytesDone)
    : `${formatBytes(bytesDone)} / ${formatBytes(bytesTotal)}`

function itemsOf({ itemsDone, itemsTotal }: ProgressWire): string | null {
  if (itemsTotal === null) return itemsDone === 0 ? null : `${formatCount(itemsDone)} files`
  return `${formatCount(itemsDone)} / ${formatCount(itemsTotal)} files`
}

const rateOf = ({ ratePerSecond }: ProgressWire): string | null =>
  ratePerSecond === null ? null : `${formatBytes(ratePerSecond)}/s`

/** Withheld while it is worth nothing: an unknown time is not said, nor that nothing is left. */
const leftOf = ({ secondsLeft, percent }: ProgressWire): string | null =>
  secondsLeft === null || percent === 100 ? null : `${formatSeconds(secondsLeft)} left`

/** Without a percentage there is nothing to fill: the bar stays away. */
export function fillBar(percent: number | null, columns: number): string {
  if (percent === null || columns < 1) return ''
  const eighths = Math.round((Math.min(100, Math.max(0, percent)) / 100) * columns * 8)
  const full = Math.floor(eighths / 8)
  const filled = '█'.repeat(full) + (EIGHTHS[eighths % 8] ?? '')
  return filled + '░'.repeat(Math.max(0, columns - full - (eighths % 8 === 0 ? 0 : 1)))
}

/**
 * Two lines for a terminal of that width, neither of them wider: how far it is,
 * and what is being done. In a narrow one the least needed figures go first.
 */
export function renderBar(state: BarState, columns: number): readonly [string, string] {
  const { progress } = state
  const percent = progress.percent === null ? ' --%' : `${String(progress.percent).padStart(3)}%`
  // In the order in which they may go.
  const parts = [bytesOf(progress), leftOf(progress), rateOf(progress), itemsOf(progress)].filter(
    (part) => part !== null,
  )
  let figures = parts
  const lineOf = (shown: readonly string[]) => [percent, ...shown].join(SEPARATOR)
  while (figures.length > 0 && widthOfText(lineOf(figures)) > columns)
    figures = figures.slice(0, -1)
  const shown = inReadingOrder(figures, progress)
  const room = columns - widthOfText(lineOf(shown)) - SEPARATOR.length
  const bar =
    room >= BAR_COLUMNS_MIN ? fillBar(progress.percent, Math.min(room, BAR_COLUMNS_MAX)) : ''
  const first = [percent, ...(bar === '' ? [] : [bar]), ...shown].join(SEPARATOR)
  return [cutText(first, columns), renderWork(state, columns)]
}

/** Bytes, files, rate, time: as people read it. */
function inReadingOrder(figures: readonly string[], progress: ProgressWire): string[] {
  const order = [bytesOf(progress), itemsOf(progress), rateOf(progress), leftOf(progress)]
  return order.filter((part) => part !== null && figures.includes(part)) as string[]
}

function renderWork({ status, progress }: BarState, columns: number): string {
  const work = `     ${workOf(status, progress)}`
  if (progress.currentItem === null) return cutText(work, columns)
  const room = columns - widthOfText(work) - SEPARATOR.length
  if (room < 4) return cutText(work, columns)
  return `${work}${SEPARATOR}${shortenPath(progress.currentItem, room)}`
}

const workOf = (status: string, progress: ProgressWire): string =>
  status === 'running' ? printable(progress.phase) : status

/** One line for a log or a pipe. */
export function renderLine(state: BarState): string {
  const { progress } = state
  const parts = [
    progress.percent === null ? null : `${progress.percent}%`,
    bytesOf(progress),
    itemsOf(progress),
    rateOf(progress),
    leftOf(progress),
    workOf(state.status, progress),
  ]
  return parts.filter((part) => part !== null).join(', ')
}

/** Lets through at most one in an interval. `nowMs` comes from a monotonic clock. */
export class LineThrottle {
  readonly #intervalMs: number
  #lastMs: number | null = null

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs
  }

  admit(nowMs: number): boolean {
    if (this.#lastMs !== null && nowMs - this.#lastMs < this.#intervalMs) return false
    this.#lastMs = nowMs
    return true
  }
}
