/** How times are written everywhere. Every function takes the present as an argument. */

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

const plural = (count: number, unit: string): string => `${count} ${unit}${count === 1 ? '' : 's'}`

/** `just now`, `2 minutes ago`, `3 days ago`. */
export function agoText(atMs: number, nowMs: number): string {
  const age = Math.max(0, nowMs - atMs)
  if (age < 10 * SECOND) return 'just now'
  if (age < MINUTE) return `${plural(Math.floor(age / SECOND), 'second')} ago`
  if (age < HOUR) return `${plural(Math.floor(age / MINUTE), 'minute')} ago`
  if (age < DAY) return `${plural(Math.floor(age / HOUR), 'hour')} ago`
  if (age < 60 * DAY) return `${plural(Math.floor(age / DAY), 'day')} ago`
  return `${plural(Math.floor(age / (30 * DAY)), 'month')} ago`
}

/** `under 1 s`, `4 s`, `3 min 20 s`, `2 h 05 min`: for durations that were measured. */
export function durationText(milliseconds: number): string {
  if (milliseconds < SECOND) return 'under 1 s'
  const seconds = Math.round(milliseconds / SECOND)
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  const minutes = Math.floor((seconds % 3600) / 60)
  return `${Math.floor(seconds / 3600)} h ${String(minutes).padStart(2, '0')} min`
}

/** `about 3 min`: for a guess, so never more exact than it deserves. */
export function leftText(seconds: number): string {
  if (seconds < 5) return 'a few seconds'
  if (seconds < 60) return `${Math.ceil(seconds / 5) * 5} s`
  if (seconds < 90 * 60) return `about ${Math.round(seconds / 60)} min`
  const hours = seconds / 3600
  return hours < 10 ? `about ${hours.toFixed(1)} h` : `about ${Math.round(hours)} h`
}

const DATE = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' })
const DAY_OF_YEAR = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' })
const CLOCK = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' })
const CLOCK_SECONDS = new Intl.DateTimeFormat('en-GB', {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
})

export const dateText = (at: string): string => DATE.format(new Date(at))

export const clockText = (at: string): string => CLOCK.format(new Date(at))

export const clockSecondsText = (at: string): string => CLOCK_SECONDS.format(new Date(at))

export const momentText = (at: string): string => `${dateText(at)}, ${clockText(at)}`

/** `Today`, `Yesterday`, `3 May`, or with the year where it is another one. */
export function dayText(at: string, nowMs: number): string {
  const day = new Date(at)
  const now = new Date(nowMs)
  if (day.toDateString() === now.toDateString()) return 'Today'
  if (day.toDateString() === new Date(nowMs - DAY).toDateString()) return 'Yesterday'
  return day.getFullYear() === now.getFullYear() ? DAY_OF_YEAR.format(day) : DATE.format(day)
}
