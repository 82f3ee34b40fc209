/** How amounts are written everywhere: decimal units, three significant digits, a dash for the unknown. */

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const

export const UNKNOWN = '–'

export function bytesText(bytes: number | null): string {
  if (bytes === null) return UNKNOWN
  let value = bytes
  let unit = 0
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000
    unit += 1
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2
  return `${value.toFixed(digits)} ${UNITS[unit]}`
}

export const rateText = (bytesPerSecond: number | null): string =>
  bytesPerSecond === null ? UNKNOWN : `${bytesText(bytesPerSecond)}/s`

export const countText = (count: number): string => count.toLocaleString('en-US')

export const countOf = (count: number, one: string, many = `${one}s`): string =>
  `${countText(count)} ${count === 1 ? one : many}`
