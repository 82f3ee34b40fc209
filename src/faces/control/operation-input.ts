import { AppError } from '../../core/errors.ts'
import type { Json, JsonObject } from '../../core/json.ts'
import type { OperationKind } from '../../core/kinds.ts'

/** It is kept with the operation, and told with each of its events. */
const INPUT_BYTES_MAX = 64 * 1024

/** What each kind takes; its engine looks at the values. Kinds that are not here have engines of other faces. */
const FIELDS: Partial<Readonly<Record<OperationKind, readonly string[]>>> = {
  backup: ['ignore', 'compression', 'level', 'checksums'],
  restore: ['snapshotId', 'target', 'paths', 'mode'],
  verify: ['snapshotId', 'target', 'paths'],
}
const TARGET_FIELDS = ['path']

export interface Submission {
  readonly kind: OperationKind
  readonly sourceId?: string | undefined
  readonly snapshotId?: string | undefined
  readonly input?: JsonObject | undefined
}

const invalid = (message: string): AppError => new AppError('invalid', message)

/** Throws `invalid` naming what is missing, too much, or nobody's. */
export function checkSubmission({ kind, sourceId, snapshotId, input = {} }: Submission): void {
  const bytes = Buffer.byteLength(JSON.stringify(input))
  if (bytes > INPUT_BYTES_MAX) {
    throw invalid(
      `the input is ${bytes} bytes, and may have ${INPUT_BYTES_MAX}: name folders or globs instead of many paths`,
    )
  }
  const known = FIELDS[kind]
  if (known !== undefined) assertKnown(input, known, `the input of a ${kind}`)
  const target = input['target']
  if (known?.includes('target') && isObject(target)) {
    assertKnown(target, TARGET_FIELDS, 'input.target')
  }
  if (kind === 'backup' && sourceId === undefined) {
    throw invalid('sourceId is missing: a backup needs the id of what it backs up')
  }
  const isOfSnapshot = kind === 'restore' || kind === 'verify'
  if (isOfSnapshot && snapshotId === undefined && input['snapshotId'] === undefined) {
    throw invalid(`snapshotId is missing: a ${kind} needs the id of a snapshot`)
  }
}

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function assertKnown(value: JsonObject, known: readonly string[], what: string): void {
  const unknown = Object.keys(value).filter((name) => !known.includes(name))
  if (unknown.length === 0) return
  const names = unknown.slice(0, 10).map((name) => JSON.stringify(name.slice(0, 50)))
  throw invalid(`${what} has no ${names.join(', ')}; it has ${known.join(', ')}`)
}

/** What no engine takes, in words: `backup:mysql` says nothing to people. */
export function explainRefusal(thrown: unknown): unknown {
  if (!(thrown instanceof AppError)) return thrown
  const sourceKind = /^backup:(.+)$/.exec(String(thrown.details['engine'] ?? ''))?.[1]
  if (sourceKind === undefined) return thrown
  const message = `this server cannot back up a source of kind ${sourceKind} yet; its record is kept for when it can`
  return new AppError('invalid', message, { sourceKind }, thrown)
}

/** Of a field of an input, in lists and in the live feed: a thousand paths are asked for one by one. */
const FIELD_BYTES_SHOWN_MAX = 1024

/**
 * The input as it is told with many others: a field that is long is cut, and
 * `leftOut` counts its parts, or its characters, that are not shown.
 */
export function shortInput(input: JsonObject): JsonObject {
  const short: Record<string, Json> = {}
  for (const [name, value] of Object.entries(input)) {
    const isShort = JSON.stringify(value).length <= FIELD_BYTES_SHOWN_MAX
    if (isShort) {
      short[name] = value
      continue
    }
    const shown = cut(value)
    if (shown === null) continue
    short[name] = shown.value
    short[`${name}LeftOut`] = shown.leftOut
  }
  return short
}

function cut(value: Json): { readonly value: Json; readonly leftOut: number } | null {
  if (typeof value === 'string') {
    const leftOut = value.length - FIELD_BYTES_SHOWN_MAX
    return { value: value.slice(0, FIELD_BYTES_SHOWN_MAX), leftOut }
  }
  if (!Array.isArray(value)) return null
  let room = FIELD_BYTES_SHOWN_MAX
  const shown = value.filter((part) => {
    room -= JSON.stringify(part).length + 1
    return room >= 0
  })
  return { value: shown, leftOut: value.length - shown.length }
}
