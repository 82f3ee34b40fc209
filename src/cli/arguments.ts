import { type ParseArgsConfig, parseArgs } from 'node:util'
import { AppError } from '../core/errors.ts'

type Options = NonNullable<ParseArgsConfig['options']>

/** Every command takes these. */
export const COMMON_OPTIONS = {
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  data: { type: 'string' },
  url: { type: 'string' },
} as const satisfies Options

/** A command that was written wrongly. Told apart from refusals of the server. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** Reads the arguments of one command; what is not known is an error and not passed over. */
export function parseArguments<O extends Options>(args: readonly string[], options: O) {
  try {
    return parseArgs({
      args: [...args],
      options: { ...COMMON_OPTIONS, ...options },
      allowPositionals: true,
      strict: true,
    })
  } catch (error) {
    throw new UsageError(
      error instanceof Error ? firstSentence(error.message) : 'wrong arguments',
      {
        cause: error,
      },
    )
  }
}

/** Node explains at length how to pass a positional that looks like an option. */
const firstSentence = (message: string): string => {
  const sentence = message.split(/\. /, 1)[0] ?? message
  return sentence.charAt(0).toLowerCase() + sentence.slice(1)
}

/** The one argument that a command needs. */
export function onePositional(positionals: readonly string[], name: string): string {
  const [first, tooMany] = positionals
  if (first === undefined) throw new UsageError(`${name} is missing`)
  if (tooMany !== undefined) throw new UsageError(`one argument too many: ${quote(tooMany)}`)
  return first
}

export function optionalPositional(positionals: readonly string[]): string | undefined {
  return positionals.length === 0 ? undefined : onePositional(positionals, '')
}

export function noPositionals(positionals: readonly string[]): void {
  if (positionals[0] !== undefined) {
    throw new UsageError(`one argument too many: ${quote(positionals[0])}`)
  }
}

export function oneOf<T extends string>(option: string, value: string, values: readonly T[]): T {
  const found = values.find((candidate) => candidate === value)
  if (found === undefined) {
    throw new UsageError(`${option} is ${quote(value)}, and must be one of ${values.join(', ')}`)
  }
  return found
}

export function wholeNumber(option: string, value: string, min: number, max: number): number {
  const number = Number(value)
  if (value.trim() === '' || !Number.isInteger(number) || number < min || number > max) {
    throw new UsageError(
      `${option} is ${quote(value)}, and must be a whole number ${min} to ${max}`,
    )
  }
  return number
}

const MS_OF_UNIT: Readonly<Record<string, number>> = {
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 7 * 86_400_000,
}

/** A moment in the future: `12h`, `30d`, or a time of RFC 3339. Answers RFC 3339. */
export function parseExpiry(value: string, nowMs: number): string {
  const duration = /^(\d{1,6})([mhdw])$/.exec(value)
  const lengthMs = Number(duration?.[1]) * (MS_OF_UNIT[duration?.[2] ?? ''] ?? Number.NaN)
  const atMs = duration === null ? Date.parse(value) : nowMs + lengthMs
  const isTime = duration !== null || /^\d{4}-\d\d-\d\d/.test(value)
  if (!isTime || Number.isNaN(atMs)) {
    throw new UsageError(
      `--expires is ${quote(value)}, and must be a length such as 12h or 30d, or a time such as 2030-01-31T12:00:00Z`,
    )
  }
  if (atMs <= nowMs) throw new UsageError(`--expires is ${quote(value)}, which is over already`)
  return new Date(atMs).toISOString()
}

const quote = (text: string): string => JSON.stringify(text.slice(0, 100))

/** The code and sentence of whatever was thrown; a bug has neither to show. */
export function describeError(error: unknown): {
  code: string
  message: string
  details: Readonly<Record<string, unknown>>
} {
  if (error instanceof UsageError) return { code: 'usage', message: error.message, details: {} }
  if (error instanceof AppError || isSdkError(error)) {
    return { code: error.code, message: error.message, details: error.details }
  }
  const message = error instanceof Error ? error.message : String(error)
  return { code: 'internal', message, details: {} }
}

const isSdkError = (
  error: unknown,
): error is Error & { code: string; details: Readonly<Record<string, unknown>> } =>
  error instanceof Error && error.name === 'HoldfastError' && 'code' in error && 'details' in error
