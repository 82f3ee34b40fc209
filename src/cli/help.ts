import type { Command } from './command.ts'
import { EXIT } from './exit-codes.ts'
import { formatTable } from './format.ts'

const COMMON: readonly (readonly [string, string])[] = [
  ['--json', 'for programs: one JSON object a line'],
  ['--data FOLDER', 'the data folder; HOLDFAST_DATA, else ./data'],
  ['--url URL', 'a server elsewhere, with its token in HOLDFAST_TOKEN; HOLDFAST_URL'],
  ['-h, --help', 'this'],
]

const EXIT_CODES: readonly (readonly [number, string])[] = [
  [EXIT.done, 'done'],
  [EXIT.failed, 'failed'],
  [EXIT.usage, 'wrong usage'],
  [EXIT.warnings, 'finished with warnings'],
  [EXIT.notFound, 'not found'],
  [EXIT.refused, 'refused'],
  [EXIT.interrupted, 'interrupted'],
]

const indented = (rows: readonly (readonly string[])[]): string =>
  formatTable(rows.map(([first = '', ...rest]) => [`  ${first}`, ...rest])).join('\n')

export function helpOfAll(commands: ReadonlyMap<string, Command>): string {
  const rows = [...commands].map(([name, { summary }]) => [name, summary])
  return [
    'Usage: holdfast COMMAND [options]',
    '',
    'Every byte you move is a durable operation that you can watch, pause, resume and prove.',
    '',
    'Commands:',
    indented([...rows, ['help [COMMAND]', 'show this, or how one command is used']]),
    '',
    'Options of every command:',
    indented([...COMMON, ['--version', 'the version']]),
    '',
    'Exit codes:',
    indented(EXIT_CODES.map(([code, meaning]) => [String(code), meaning])),
  ].join('\n')
}

export function helpOfOne(command: Command): string {
  const own = command.options
  return [
    `Usage: holdfast ${command.usage}`,
    '',
    `${command.summary.charAt(0).toUpperCase()}${command.summary.slice(1)}.`,
    ...(own.length === 0 ? [] : ['', 'Options:', indented(own)]),
    '',
    'Options of every command:',
    indented(COMMON.filter(([name]) => !own.some(([ownName]) => ownName === name))),
  ].join('\n')
}
