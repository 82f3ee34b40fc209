import type { ExitCode } from './exit-codes.ts'
import type { Session } from './session.ts'
import type { Terminal } from './terminal.ts'

/** What a command is started with: nothing in it is read from the process itself. */
export interface Context {
  readonly terminal: Terminal
  readonly env: Readonly<Record<string, string | undefined>>
  readonly nowMs: () => number
  readonly monotonicMs: () => number
  /** Calls back at each Ctrl-C and SIGTERM, until the returned function is called. */
  readonly onInterrupt: (listener: () => void) => () => void
  readonly version: string
  /** Ends the process at once. */
  readonly exit: (code: number) => void
  /** Opens the way to the records: a server, or the core in this process. */
  readonly openSession: (options: SessionOptions) => Promise<Session>
}

export interface SessionOptions {
  /** Where there is no data folder yet: make one, or say that there is none. */
  readonly create: boolean
  /** Whether operations may run in this process when no server is there. */
  readonly work: boolean
}

export interface Command {
  /** Such as `restore SNAPSHOT [options]`. */
  readonly usage: string
  /** One line for the list of commands. */
  readonly summary: string
  /** The options of its own, each `[name, what it does]`. */
  readonly options: readonly (readonly [string, string])[]
  run(args: readonly string[], context: Context): Promise<ExitCode>
}

/** Runs with a session that is closed whatever happens. */
export async function withSession<T>(
  context: Context,
  options: SessionOptions,
  use: (session: Session) => Promise<T>,
): Promise<T> {
  const session = await context.openSession(options)
  try {
    return await use(session)
  } finally {
    await session.close()
  }
}
