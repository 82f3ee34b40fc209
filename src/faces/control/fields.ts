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

/** Any JSON object: the room it is meant for knows its fields. */
export const jsonObject = z.record(z.string(), z.json()) as z.ZodType<JsonObject, JsonObject>

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
