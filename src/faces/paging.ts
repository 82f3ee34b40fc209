import { z } from 'zod'
import { PAGE_DEFAULT, PAGE_MAX } from '../core/limits.ts'

const CURSOR_LENGTH_MAX = 300

/** The query of every list: how many, and where the last page ended. */
export const pageQuery = {
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(PAGE_MAX)
    .default(PAGE_DEFAULT)
    .describe(`Records of one page, 1 to ${PAGE_MAX}.`),
  cursor: z
    .string()
    .min(1)
    .max(CURSOR_LENGTH_MAX)
    .nullable()
    .default(null)
    .describe('`nextCursor` of the page before.'),
}

export interface Page<T> {
  readonly items: readonly T[]
  readonly nextCursor: string | null
}

export const toPage = <T, Wire>(page: Page<T>, toWire: (item: T) => Wire) => ({
  items: page.items.map(toWire),
  nextCursor: page.nextCursor,
})

/** A page of what is numbered upwards: reads on after the last number. */
export const toNumberedPage = <Wire>(
  items: readonly Wire[],
  limit: number,
  numberOf: (item: Wire) => number,
) => {
  const last = items.at(-1)
  const isFull = items.length === limit && last !== undefined
  return { items: [...items], nextCursor: isFull ? String(numberOf(last)) : null }
}
