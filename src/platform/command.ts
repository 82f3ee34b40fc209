import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import { systemCodeOf } from './files.ts'
import { LINE_LENGTH_MAX, type LineEncoding, readLines } from './lines.ts'

export interface CommandExit {
  /** `null` where a signal ended it. */
  readonly exitCode: number | null
  readonly signal: NodeJS.Signals | null
  /** The last lines only: enough for a message, bounded whatever the command prints. */
  readonly stderrTail: string
}

export interface RunningCommand {
  /** What it prints. Read it to its end: a command whose output nobody takes waits for ever. */
  readonly lines: AsyncIterable<string>
  /** Settles once it and its output have ended. Rejects only where it could not be started. */
  readonly exit: Promise<CommandExit>
}

export interface CommandOptions {
  /** Ends the command and every process of its group. */
  readonly signal: AbortSignal
  readonly env: NodeJS.ProcessEnv
  readonly cwd?: string
  /** How it is asked to stop: restic wants SIGINT, to remove its locks. */
  readonly stopSignal?: 'SIGINT' | 'SIGTERM'
  /** What has not ended this long after it was asked to is killed. */
  readonly killAfterMs?: number
  readonly lineLengthMax?: number
  /** Of the lines it prints. */
  readonly encoding?: LineEncoding
}

type Child = ChildProcessByStdio<null, Readable, Readable>

const STDERR_LINES_MAX = 20
const KILL_AFTER_MS = 10_000

/**
 * Starts a command, without a shell, as the leader of its own process group.
 * The whole group is ended on abort, and whatever the command leaves running in
 * its group is ended when it exits: such processes would go on with work that
 * nobody watches, and hold our pipes open.
 */
export function startCommand(
  command: string,
  args: readonly string[],
  options: CommandOptions,
): RunningCommand {
  options.signal.throwIfAborted()
  const child: Child = spawn(command, args, {
    env: options.env,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const stderr: string[] = []
  const lengthMax = options.lineLengthMax ?? LINE_LENGTH_MAX
  const stderrRead = keepLast(readLines(child.stderr, lengthMax), stderr)
  const exit = superviseExit(child, options).then(async (ended) => {
    await stderrRead
    return { ...ended, stderrTail: stderr.join('\n') }
  })
  exit.catch(() => {
    // A caller that fails while it reads the lines never awaits this.
  })
  return { lines: readLines(child.stdout, lengthMax, options.encoding), exit }
}

function superviseExit(
  child: Child,
  options: CommandOptions,
): Promise<Omit<CommandExit, 'stderrTail'>> {
  const { promise, resolve, reject } = Promise.withResolvers<Omit<CommandExit, 'stderrTail'>>()
  let killTimer: NodeJS.Timeout | undefined
  const stop = () => {
    signalGroup(child, options.stopSignal ?? 'SIGTERM')
    killTimer = setTimeout(() => {
      signalGroup(child, 'SIGKILL')
    }, options.killAfterMs ?? KILL_AFTER_MS)
  }
  const settled = () => {
    clearTimeout(killTimer)
    options.signal.removeEventListener('abort', stop)
  }
  options.signal.addEventListener('abort', stop, { once: true })
  child.once('error', (error) => {
    settled()
    reject(error)
  })
  child.once('exit', () => {
    settled()
    signalGroup(child, 'SIGKILL')
    // What left the group keeps the pipes open; after an abort nobody waits for its output.
    if (options.signal.aborted) for (const pipe of [child.stdout, child.stderr]) pipe.destroy()
  })
  child.once('close', (exitCode, signal) => resolve({ exitCode, signal }))
  return promise
}

/** A group that is gone already is what was wanted. */
function signalGroup(child: Child, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch (error) {
    if (systemCodeOf(error) !== 'ESRCH' && systemCodeOf(error) !== 'EPERM') throw error
  }
}

async function keepLast(lines: AsyncIterable<string>, kept: string[]): Promise<void> {
  for await (const line of lines) {
    kept.push(line)
    if (kept.length > STDERR_LINES_MAX) kept.shift()
  }
}
