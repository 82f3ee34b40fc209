import { AppError } from '../../../core/errors.ts'
import type { JsonObject } from '../../../core/json.ts'

const PATTERNS_MAX = 1000
const PATTERN_LENGTH_MAX = 4096
const WILDCARDS_MAX = 10
/** Of all globs together: each character of them may be compared with each one of every path. */
const GLOBS_LENGTH_MAX = 32 * 1024

interface Pattern {
  readonly text: string
  readonly below: string
  /** Segments, where the pattern has a wildcard. */
  readonly glob: readonly string[] | null
}

/**
 * Which entries of a snapshot are wanted: exact paths, and globs with `*`, `?`
 * (within one segment) and `**` (across segments). What is named brings along
 * all that is below it; `test` never takes `test2`.
 */
export class Selection {
  readonly #patterns: readonly Pattern[]
  readonly #unmatched: Set<string>

  constructor(patterns: readonly string[]) {
    this.#patterns = patterns.map(toPattern)
    this.#unmatched = new Set(this.#patterns.map((pattern) => pattern.text))
  }

  has(path: string): boolean {
    let selected = false
    let segments: readonly string[] | null = null
    for (const pattern of this.#patterns) {
      if (pattern.glob === null) {
        if (!isExact(pattern, path)) continue
      } else {
        segments ??= path.split('/')
        if (!isExact(pattern, path) && !matchesGlob(pattern.glob, segments)) continue
      }
      selected = true
      this.#unmatched.delete(pattern.text)
    }
    return selected
  }

  /** Patterns that `has` never met. */
  unmatched(): readonly string[] {
    return [...this.#unmatched]
  }
}

const isExact = ({ text, below }: Pattern, path: string): boolean =>
  text === '.' || path === text || path.startsWith(below)

function toPattern(text: string): Pattern {
  return { text, below: `${text}/`, glob: /[*?]/.test(text) ? text.split('/') : null }
}

/**
 * Whether a glob matches a path, or what the path is below of. Goes through the
 * path once with all places of the glob that it may stand at: nobody can write a
 * glob for which this takes more than the length of both multiplied.
 */
function matchesGlob(glob: readonly string[], path: readonly string[]): boolean {
  const last = glob.length - 1
  let now = new Set<number>()
  const reach = (at: number, into: Set<number>): void => {
    into.add(at)
    // `**` stands for no segment too, but for at least one at the end.
    for (let next = at; glob[next] === '**' && next < last; next += 1) into.add(next + 1)
  }
  reach(0, now)
  for (const segment of path) {
    const after = new Set<number>()
    for (const at of now) {
      const wanted = glob[at] ?? ''
      if (wanted !== '**' && !matchesSegment(wanted, segment)) continue
      if (at === last) return true
      reach(wanted === '**' ? at : at + 1, after)
    }
    if (after.size === 0) return false
    now = after
  }
  return false
}

const widthAt = (text: string, at: number): number => ((text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1)

/**
 * `*` and `?` in one segment. Only the last `*` is ever tried again: what an
 * earlier one could take differently, the later one takes as well.
 */
function matchesSegment(wanted: string, segment: string): boolean {
  let at = 0
  let from = 0
  let starAt = -1
  let starFrom = 0
  while (from < segment.length) {
    const token = wanted[at]
    if (token === '*') {
      starAt = at
      starFrom = from
      at += 1
    } else if (token === '?') {
      at += 1
      from += widthAt(segment, from)
    } else if (token !== undefined && token === segment[from]) {
      at += 1
      from += 1
    } else if (starAt >= 0) {
      starFrom += widthAt(segment, starFrom)
      from = starFrom
      at = starAt + 1
    } else return false
  }
  while (wanted[at] === '*') at += 1
  return at === wanted.length
}

/** Parses `paths` of an input: absent, or a list of patterns relative to the root of the snapshot. */
export function parsePatterns(input: JsonObject): readonly string[] | null {
  const paths = input['paths'] ?? null
  if (paths === null) return null
  if (!Array.isArray(paths) || paths.length === 0 || paths.length > PATTERNS_MAX) {
    throw new AppError('invalid', `paths is a list of 1 to ${PATTERNS_MAX} paths or globs`)
  }
  const patterns = paths.map(parsePattern)
  const globs = patterns.filter((pattern) => /[*?]/.test(pattern))
  if (globs.reduce((sum, glob) => sum + glob.length, 0) > GLOBS_LENGTH_MAX) {
    throw new AppError(
      'invalid',
      `the globs of paths have more than ${GLOBS_LENGTH_MAX} characters together: name folders instead`,
    )
  }
  return patterns.includes('.') ? null : patterns
}

function parsePattern(value: unknown): string {
  if (typeof value !== 'string' || value.length > PATTERN_LENGTH_MAX || value.includes('\0')) {
    throw new AppError('invalid', `a path is a text of up to ${PATTERN_LENGTH_MAX} characters`)
  }
  if (value.startsWith('/')) {
    throw new AppError(
      'invalid',
      `paths are relative to the root of the snapshot, without a leading slash: ${value}`,
    )
  }
  if ((value.match(/\*+|\?/g)?.length ?? 0) > WILDCARDS_MAX) {
    throw new AppError('invalid', `a glob has at most ${WILDCARDS_MAX} wildcards: ${value}`)
  }
  const segments = value.split('/').filter((segment) => segment !== '' && segment !== '.')
  if (segments.includes('..'))
    throw new AppError('invalid', `a path cannot climb with "..": ${value}`)
  return segments.length === 0 ? '.' : segments.join('/').replace(/(?:\*\*\/)+\*\*/g, '**')
}
