import { parseArgs } from 'node:util'
import { readVersion } from '../platform/version.ts'
import { describeError, UsageError } from './arguments.ts'
import { backup } from './backup.ts'
import { cancel } from './cancel.ts'
import type { Command, Context } from './command.ts'
import { doctor } from './doctor.ts'
import { EXIT, type ExitCode, exitCodeOfError } from './exit-codes.ts'
import { printable } from './format.ts'
import { helpOfAll, helpOfOne } from './help.ts'
import { openSession } from './open-session.ts'
import { operations } from './operations.ts'
import { pause } from './pause.ts'
import { restore } from './restore.ts'
import { resume } from './resume.ts'
import { serve } from './serve.ts'
import { signIn } from './sign-in.ts'
import { snapshots } from './snapshots.ts'
import { Terminal, type TerminalOptions } from './terminal.ts'
import { token } from './token.ts'
import { verify } from './verify.ts'
import { watch } from './watch.ts'

const COMMANDS: ReadonlyMap<string, Command> = new Map([
  ['serve', serve],
  ['backup', backup],
  ['restore', restore],
  ['snapshots', snapshots],
  ['operations', operations],
  ['watch', watch],
  ['pause', pause],
  ['resume', resume],
  ['cancel', cancel],
  ['verify', verify],
  ['token', token],
  ['sign-in', signIn],
  ['doctor', doctor],
])

/** The process, as far as a command may touch it. */
export interface CliOptions extends Omit<TerminalOptions, 'json'> {
  readonly args: readonly string[]
  readonly onSignal: (
    signals: readonly ('SIGINT' | 'SIGTERM')[],
    listener: () => void,
  ) => () => void
  readonly exit: (code: number) => void
}

/** Runs one command and answers the exit code of the run contract. Never rejects. */
export async function runCli(options: CliOptions): Promise<ExitCode> {
  const { name, args, common } = splitArguments(options.args)
  const terminal = new Terminal({ ...options, json: common.json })
  try {
    if (common.version) {
      terminal.line(readVersion())
      return EXIT.done
    }
    const command = COMMANDS.get(name === 'help' ? (args[0] ?? '') : (name ?? ''))
    if (name === 'help' || common.help) {
      if (name === 'help' && args[0] !== undefined && command === undefined) throw unknown(args[0])
      terminal.line(command === undefined ? helpOfAll(COMMANDS) : helpOfOne(command))
      return EXIT.done
    }
    if (name === undefined) {
      terminal.note(helpOfAll(COMMANDS))
      throw new UsageError('say what to do')
    }
    if (command === undefined) throw unknown(name)
    return await command.run(args, contextOf(options, terminal, common))
  } catch (error) {
    if (options.env['LOG_LEVEL'] === 'debug' && error instanceof Error) {
      terminal.note(error.stack ?? error.message)
    }
    return sayError(terminal, error, name)
  }
}

interface Common {
  readonly json: boolean
  readonly help: boolean
  readonly version: boolean
  readonly data: string | undefined
  readonly url: string | undefined
}

/** Finds the command and what concerns all of them. Each command checks its own arguments strictly. */
function splitArguments(all: readonly string[]): {
  name: string | undefined
  args: readonly string[]
  common: Common
} {
  const { values, tokens } = parseArgs({
    args: [...all],
    options: {
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
      version: { type: 'boolean' },
      data: { type: 'string' },
      url: { type: 'string' },
    },
    strict: false,
    allowPositionals: true,
    tokens: true,
  })
  const first = tokens.find((token) => token.kind === 'positional')
  const at = first?.index ?? -1
  const text = (value: unknown) => (typeof value === 'string' ? value : undefined)
  return {
    name: at === -1 ? undefined : all[at],
    args: at === -1 ? [] : all.filter((arg, index) => index !== at && arg !== '--version'),
    common: {
      json: values.json === true,
      help: values.help === true,
      // Only in front: behind a command it would be an option of that command.
      version: values.version === true && (at === -1 || all.indexOf('--version') < at),
      data: text(values.data),
      url: text(values.url),
    },
  }
}

function contextOf(options: CliOptions, terminal: Terminal, common: Common): Context {
  const env = {
    ...options.env,
    ...(common.data === undefined ? {} : { HOLDFAST_DATA: common.data }),
    ...(common.url === undefined ? {} : { HOLDFAST_URL: common.url }),
  }
  return {
    terminal,
    env,
    nowMs: () => Date.now(),
    monotonicMs: () => performance.now(),
    onInterrupt: (listener) => options.onSignal(['SIGINT', 'SIGTERM'], listener),
    version: readVersion(),
    exit: options.exit,
    openSession: (sessionOptions) => openSession(env, sessionOptions),
  }
}

const unknown = (name: string): UsageError =>
  new UsageError(`there is no command ${JSON.stringify(name.slice(0, 50))}; see holdfast help`)

function sayError(terminal: Terminal, error: unknown, name: string | undefined): ExitCode {
  const { code, message, details } = describeError(error)
  const exitCode = exitCodeOfError(code)
  if (terminal.json) terminal.object({ type: 'error', exitCode, code, message, details })
  terminal.note(`${terminal.style('red', 'holdfast')}: ${printable(message)}`)
  const command = COMMANDS.get(name ?? '')
  if (error instanceof UsageError && command !== undefined) {
    terminal.note(`Usage: holdfast ${command.usage}`)
  }
  return exitCode
}
