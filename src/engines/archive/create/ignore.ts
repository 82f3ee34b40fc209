import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { AppError } from '../../../core/errors.ts'

/**
 * Which paths a backup leaves out. The rules are those of sabhiram/go-gitignore,
 * which wings uses, and not those of git: the last pattern that matches wins, a
 * negation re-includes a file even below an excluded directory, a pattern
 * without a slash at its front matches whole segments anywhere, and `?` is a
 * question mark.
 *
 * Patterns come from people who may not be trusted, so they run as automata in
 * time linear in the path: a regular expression could be made to take for ever.
 */
export interface IgnoreRules {
  /** Whether something excluded may be re-included: then excluded directories must be looked into. */
  readonly reincludes: boolean
  /** `path` is relative, with `/`, one character a byte (latin1). */
  excludes(path: string, isDirectory: boolean): boolean
}

interface Step {
  /** `end` accepts; `split` goes to both. */
  readonly is: 'char' | 'class' | 'any' | 'no-slash' | 'split' | 'end'
  readonly code: number
  /** One byte for each code: whether it is a member. */
  readonly members: Uint8Array | null
  readonly negated: boolean
  /** Where to go on; a split also goes to `other`. */
  next: number
  other: number
}

const SLASH = 0x2f
export const IGNORE_BYTES_MAX = 32 * 1024
const RULES_MAX = 2_000
const RULE_LENGTH_MAX = 1_000
const IGNORE_FILES = ['.holdfastignore', '.pteroignore', '.pelicanignore']

/** Builds the automaton of one pattern, front to back. */
class Automaton {
  readonly #steps: Step[] = []
  /** Which steps were put into the present list, by the round in which they were. */
  #seen = new Int32Array(0)
  #round = 0
  readonly #toReach: number[] = []

  add(is: Step['is'], more: Partial<Step> = {}): number {
    const at = this.#steps.length
    this.#steps.push({
      is,
      code: 0,
      members: null,
      negated: false,
      next: at + 1,
      other: -1,
      ...more,
    })
    return at
  }

  text(text: string): void {
    for (let at = 0; at < text.length; at += 1) this.add('char', { code: text.charCodeAt(at) })
  }

  /** `.*` or `[^/]*` */
  repeat(is: 'any' | 'no-slash'): void {
    const split = this.add('split')
    this.add(is, { next: split })
    this.#fork(split)
  }

  /** `(|...)` */
  optional(build: () => void): void {
    const split = this.add('split')
    build()
    this.#fork(split)
  }

  #fork(split: number): void {
    const step = this.#steps[split]
    if (step !== undefined) step.other = this.#steps.length
  }

  finish(): void {
    this.add('end')
    this.#seen = new Int32Array(this.#steps.length).fill(-1)
  }

  matches(path: string): boolean {
    let now: number[] = []
    this.#round += 1
    this.#reach(0, now)
    for (let at = 0; at < path.length && now.length > 0; at += 1) {
      const code = path.charCodeAt(at)
      const after: number[] = []
      this.#round += 1
      for (const index of now) {
        const step = this.#steps[index]
        if (step !== undefined && takes(step, code)) this.#reach(step.next, after)
      }
      now = after
    }
    return now.some((index) => this.#steps[index]?.is === 'end')
  }

  /** Puts the steps that can be stood at from `start` on into the list. */
  #reach(start: number, list: number[]): void {
    const toReach = this.#toReach
    toReach.push(start)
    for (let index = toReach.pop(); index !== undefined; index = toReach.pop()) {
      const step = this.#steps[index]
      if (step === undefined || this.#seen[index] === this.#round) continue
      this.#seen[index] = this.#round
      if (step.is === 'split') toReach.push(step.other, step.next)
      else list.push(index)
    }
  }
}

function takes(step: Step, code: number): boolean {
  if (step.is === 'char') return step.code === code
  if (step.is === 'any') return true
  if (step.is === 'no-slash') return code !== SLASH
  return step.is === 'class' && (step.members?.[code] === 1) !== step.negated
}

/** `[a-z]` and `[^a-z]`; answers the position after it, or `null` where it is not closed. */
function addClass(automaton: Automaton, pattern: string, start: number): number | null {
  const end = pattern.indexOf(']', start + 2)
  if (end < 0) return null
  const negated = pattern[start + 1] === '^'
  const body = pattern.slice(start + (negated ? 2 : 1), end)
  const members = new Uint8Array(256)
  for (let at = 0; at < body.length; at += 1) {
    const from = body.charCodeAt(at)
    const range = body[at + 1] === '-' && at + 2 < body.length
    const to = range ? body.charCodeAt(at + 2) : from
    for (let code = from; code <= to; code += 1) members[code] = 1
    if (range) at += 2
  }
  automaton.add('class', { members, negated })
  return end + 1
}

/** Where a run of `token` that changes nothing ends. */
function behind(pattern: string, token: string, at: number): number {
  let next = at
  while (pattern.startsWith(token, next)) next += token.length
  return next
}

/** Adds what stands at `at` of the pattern and answers where the next begins. */
function addToken(automaton: Automaton, pattern: string, at: number): number {
  if (pattern.startsWith('/**/', at)) {
    automaton.text('/')
    automaton.optional(() => {
      automaton.add('any')
      automaton.repeat('any')
      automaton.text('/')
    })
    return behind(pattern, '**/', at + 4)
  }
  if (pattern.startsWith('**/', at)) {
    automaton.optional(() => {
      automaton.repeat('any')
      automaton.text('/')
    })
    return behind(pattern, '**/', at + 3)
  }
  if (pattern.startsWith('/**', at)) {
    automaton.optional(() => {
      automaton.text('/')
      automaton.repeat('any')
    })
    return at + 3
  }
  const character = pattern[at] ?? ''
  if (character === '*') {
    automaton.repeat('no-slash')
    let next = at + 1
    while (pattern[next] === '*' && !pattern.startsWith('**/', next)) next += 1
    return next
  }
  if (character === '\\' && at + 1 < pattern.length) {
    automaton.text(pattern[at + 1] ?? '')
    return at + 2
  }
  if (character === '[') {
    const next = addClass(automaton, pattern, at)
    if (next !== null) return next
  }
  automaton.text(character)
  return at + 1
}

function compile(pattern: string): Automaton {
  let text = pattern
  // go-gitignore: `foo/*.blah` belongs to the root alone.
  if (/[^/+]\/.*\*\./.test(text) && !text.startsWith('/')) text = `/${text}`
  if (text.startsWith('/**/')) text = text.slice(1)
  const automaton = new Automaton()
  if (text.startsWith('/')) text = text.slice(1)
  else {
    automaton.optional(() => {
      automaton.repeat('any')
      automaton.text('/')
    })
  }
  let at = 0
  while (at < text.length) at = addToken(automaton, text, at)
  automaton.optional(() => {
    if (!text.endsWith('/')) automaton.text('/')
    automaton.repeat('any')
  })
  automaton.finish()
  return automaton
}

interface Rule {
  readonly negates: boolean
  readonly automaton: Automaton
}

/** The pattern of one line and what it does; `null` where the line has none. */
function readRule(line: string): { negates: boolean; pattern: string } | null {
  if (line.startsWith('#')) return null
  let text = line
    .replace(/(?<!\r)\r+$/, '')
    .replace(/^ +/, '')
    .replace(/(?<! ) +$/, '')
  const negates = text.startsWith('!')
  if (negates) text = text.slice(1)
  if (text.startsWith('#') || text.startsWith('!')) text = text.slice(1)
  if (text === '') return null
  return { negates, pattern: Buffer.from(text).toString('latin1') }
}

/** Refuses rules that would cost more for each path than a backup can bear. Throws `invalid`. */
export function checkIgnore(text: string): void {
  const invalid = (message: string): AppError => new AppError('invalid', message)
  const bytes = Buffer.byteLength(text)
  if (bytes > IGNORE_BYTES_MAX) {
    throw invalid(`the ignore rules have ${bytes} bytes: at most ${IGNORE_BYTES_MAX} are honoured`)
  }
  const rules = text.split('\n').flatMap((line) => readRule(line) ?? [])
  if (rules.length > RULES_MAX) {
    throw invalid(`there are ${rules.length} ignore rules: at most ${RULES_MAX} are honoured`)
  }
  const long = rules.find(({ pattern }) => pattern.length > RULE_LENGTH_MAX)
  if (long === undefined) return
  const start = Buffer.from(long.pattern, 'latin1').toString('utf8').slice(0, 40)
  throw invalid(
    `the ignore rule that begins with ${start} has more than ${RULE_LENGTH_MAX} characters: shorten it`,
  )
}

/** `onStep` is called again and again while a path is matched; what it throws ends the matching. */
export function parseIgnore(text: string, onStep: () => void = () => undefined): IgnoreRules {
  const rules: readonly Rule[] = text.split('\n').flatMap((line) => {
    const rule = readRule(line)
    return rule === null ? [] : { negates: rule.negates, automaton: compile(rule.pattern) }
  })
  return {
    reincludes: rules.some((rule) => rule.negates),
    excludes(path, isDirectory) {
      // The last rule that matches wins, so that the others need not be asked.
      for (let index = rules.length - 1; index >= 0; index -= 1) {
        const rule = rules[index]
        if (rule === undefined) continue
        onStep()
        if (rule.automaton.matches(path)) return !rule.negates
        if (isDirectory && rule.automaton.matches(`${path}/`)) return !rule.negates
      }
      return false
    },
  }
}

/**
 * The ignore text that lies at the root of a tree, or `''`. Only a regular file
 * that is small counts: a symlink could name anything of this machine.
 */
export function readIgnoreFile(root: string): string {
  for (const name of IGNORE_FILES) {
    let fd: number
    try {
      fd = openSync(
        join(root, name),
        constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
      )
    } catch {
      continue // not there, a symlink, or not ours to read: as if there were none
    }
    try {
      const found = fstatSync(fd)
      if (!found.isFile() || found.size > IGNORE_BYTES_MAX) continue
      const buffer = Buffer.alloc(IGNORE_BYTES_MAX)
      return buffer.toString('utf8', 0, readSync(fd, buffer, 0, buffer.length, 0))
    } finally {
      closeSync(fd)
    }
  }
  return ''
}
