import { AppError } from '../../../core/errors.ts'
import type { JsonObject } from '../../../core/json.ts'

const PATTERNS_MAX = 1000
const PATTERN_LENGTH_MAX = 4096
/** Each one multiplies what a matcher may have to try. */
const WILDCARDS_MAX = 10

interface Pattern {
  readonly text: string
  readonly below: string
  /** `null` where the pattern has no wildcard. */
  readonly glob: RegExp | null
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
    for (const pattern of this.#patterns) {
      if (!matches(pattern, path)) continue
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

function matches(pattern: Pattern, path: string): boolean {
  if (pattern.text === '.') return true
  if (path === pattern.text || path.startsWith(pattern.below)) return true
  return pattern.glob?.test(path) ?? false
}

function toPattern(text: string): Pattern {
  return { text, below: `${text}/`, glob: /[*?]/.test(text) ? globToRegExp(text) : null }
}

/** A glob matches a path, and with it everything below the path. */
function globToRegExp(glob: string): RegExp {
  const source = glob
    .split('/')
    .map((segment) => {
      if (segment === '**') return '**'
      return segment
        .replace(/[.+^${}()|[\]\\]/g, '\\$&')
        .replace(/\*+/g, '[^/]*')
        .replace(/\?/g, '[^/]')
    })
    .join('/')
    .replace(/^\*\*\/|\/\*\*\//g, (run) => (run.startsWith('/') ? '/(?:[^/]+/)*' : '(?:[^/]+/)*'))
    .replace(/\/\*\*$/, '/.+')
    .replace(/^\*\*$/, '.+')
    .replace(/\*\*\//g, '(?:[^/]+/)*')
  return new RegExp(`^${source}(?:/|$)`, 'su')
}

/** Parses `paths` of an input: absent, or a list of patterns relative to the root of the snapshot. */
export function parsePatterns(input: JsonObject): readonly string[] | null {
  const paths = input['paths'] ?? null
  if (paths === null) return null
  if (!Array.isArray(paths) || paths.length === 0 || paths.length > PATTERNS_MAX) {
    throw new AppError('invalid', `paths is a list of 1 to ${PATTERNS_MAX} paths or globs`)
  }
  const patterns = paths.map(parsePattern)
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
