import { UNPRINTABLE } from '../core/names.ts'

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const

/** Three digits that matter: `0 B`, `9.31 MiB`, `93.1 MiB`, `931 MiB`. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  // 1023.5 would be written as 1024 of the same unit.
  while (value >= 1023.5 && unit < UNITS.length - 1) {
    value /= 1024
    unit += 1
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2
  return `${value.toFixed(digits)} ${UNITS[unit]}`
}

/** `0:07`, `12:34`, `3:12:34`, `2d 3h`. */
export function formatSeconds(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  const days = Math.floor(whole / 86_400)
  const hours = Math.floor((whole % 86_400) / 3600)
  if (days > 0) return `${days}d ${hours}h`
  const two = (value: number) => String(value).padStart(2, '0')
  const minutes = Math.floor((whole % 3600) / 60)
  const rest = two(whole % 60)
  return hours > 0 ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`
}

/** Parts of a thousand, so that a count can be read: `1,234,567`. */
export const formatCount = (count: number): string => count.toLocaleString('en-US')

/** Local time, without the parts nobody reads. */
export function formatTime(rfc3339: string): string {
  const at = new Date(rfc3339)
  const two = (value: number) => String(value).padStart(2, '0')
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`
}

const segmenter = new Intl.Segmenter(undefined, { granularity: 'grapheme' })
const ZERO_WIDTH = /^[\p{Mark}\p{Format}]+$/u
/** Unicode, East Asian Width W and F, and emoji: the ranges that terminals draw two columns wide. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}|[\u{20000}-\u{3fffd}]/u

const widthOf = (character: string): number =>
  ZERO_WIDTH.test(character) ? 0 : WIDE.test(character) ? 2 : 1

/** Columns that a text without escapes takes. */
export function widthOfText(text: string): number {
  let width = 0
  for (const { segment } of segmenter.segment(text)) width += widthOf(segment)
  return width
}

/** Names come from other people: what would steer the terminal, or turn the text around, is shown as `?`. */
export const printable = (text: string): string => text.replace(UNPRINTABLE, '?')

/** The end of a path matters most: what is too much goes from its beginning. */
export function shortenPath(path: string, columns: number): string {
  const text = printable(path)
  if (widthOfText(text) <= columns) return text
  if (columns < 2) return ''
  const segments = [...segmenter.segment(text)].map(({ segment }) => segment)
  let width = 1
  let start = segments.length
  while (start > 0) {
    width += widthOf(segments[start - 1] ?? '')
    if (width > columns) break
    start -= 1
  }
  return `…${segments.slice(start).join('')}`
}

/** As much of the beginning as fits. */
export function cutText(text: string, columns: number): string {
  let width = 0
  let kept = ''
  for (const { segment } of segmenter.segment(text)) {
    width += widthOf(segment)
    if (width > columns) break
    kept += segment
  }
  return kept
}

/** Columns as wide as their widest cell; the last is left as it is. */
export function formatTable(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = []
  for (const row of rows) {
    for (const [index, cell] of row.entries()) {
      widths[index] = Math.max(widths[index] ?? 0, widthOfText(cell))
    }
  }
  return rows.map((row) =>
    row
      .map((cell, index) => {
        const padding = (widths[index] ?? 0) - widthOfText(cell)
        return index === row.length - 1 ? cell : cell + ' '.repeat(padding)
      })
      .join('  ')
      .trimEnd(),
  )
}
