import { z } from 'zod'
import type { JsonObject } from '../../core/json.ts'
import { isRecordId, NAME_LENGTH_MAX } from '../../core/names.ts'

/** Fields that several requests share. */

export const recordId = z
  .string()
  .refine(
    isRecordId,
    'expected 1 to 128 letters, digits, `_`, `.` or `-`, beginning with a letter or digit',
  )

export const nameField = z.string().trim().min(1).max(NAME_LENGTH_MAX)

/** What nobody means; and whatever walks through it would have to be afraid of it. */
const DEPTH_MAX = 32

/** Any JSON object: the room it is meant for knows its fields. It came as JSON, so that it is JSON. */
export const jsonObject = z
  .record(z.string(), z.unknown())
  .refine(
    (value) => !isDeeperThan(value, DEPTH_MAX),
    `is nested deeper than ${DEPTH_MAX} levels`,
  ) as unknown as z.ZodType<JsonObject, JsonObject>

function isDeeperThan(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (levels === 0) return true
  return Object.values(value).some((part) => isDeeperThan(part, levels - 1))
}

/** What an answer is waited for. RFC 7240, section 4.3: `Prefer: wait=30`, in seconds. */
export function preferredWait(header: string | string[] | undefined): number | null {
  const text = Array.isArray(header) ? header.join(',') : (header ?? '')
  const match = /(?:^|[,;\s])wait\s*=\s*"?(\d{1,6})"?/i.exec(text)
  return match?.[1] === undefined ? null : Number(match[1])
}

/** `?status=running,paused` and `?status=running&status=paused` alike. */
export const listOf = <const T extends string>(values: readonly T[]) =>
  z
    .union([z.string(), z.array(z.string())])
    .transform((given) =>
      (Array.isArray(given) ? given : [given]).flatMap((text) => text.split(',')),
    )
    .pipe(
      z
        .array(z.enum(values as unknown as [T, ...T[]]))
        .min(1)
        .max(values.length),
    )
    .optional()
