import type { OperationWire } from '@holdfast/sdk'
import { isFinal } from '@holdfast/sdk'
import { LineThrottle, renderLine } from './bar.ts'
import type { Context } from './command.ts'
import { sayEnd } from './ending.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { formatBytes } from './format.ts'
import { LiveBar } from './live-bar.ts'
import type { Session } from './session.ts'

const PLAIN_INTERVAL_MS = 1_000
const JSON_INTERVAL_MS = 200

export interface FollowOptions {
  /** What to type to go on after a pause, where it is not `holdfast resume ID`. */
  readonly goOnWith?: string
}

/** Ctrl-C was pressed, and what was to be said about it is said. */
class Interrupted extends Error {
  override readonly name = 'Interrupted'
}

/**
 * Shows an operation until it ends, and says how it went. Ctrl-C: in a server it
 * goes on without us; in this process it is paused, to be gone on with.
 */
export async function followToEnd(
  context: Context,
  session: Session,
  operation: OperationWire,
  options: FollowOptions = {},
): Promise<ExitCode> {
  const view = viewOf(context)
  const stop = new AbortController()
  let newest = operation
  const show = (seen: OperationWire) => {
    newest = seen
    view.show(seen)
  }
  const leave = context.onInterrupt(() => {
    if (stop.signal.aborted) context.exit(EXIT.interrupted)
    stop.abort(new Interrupted('interrupted'))
  })
  try {
    show(operation)
    const ended = isFinal(operation.status)
      ? operation
      : await session.follow(
          operation.id,
          { onOperation: show, onReach: reachTeller(view) },
          stop.signal,
        )
    view.end(ended)
    return await sayEnd(context, session, ended)
  } catch (error) {
    view.stop()
    if (!(error instanceof Interrupted)) throw error
    return await sayInterrupted(context, session, newest, options)
  } finally {
    leave()
    view.stop()
  }
}

/** Says once that the server went away, and once that it is back. */
function reachTeller(view: View): (isThere: boolean) => void {
  let wasLost = false
  return (isThere) => {
    if (isThere === !wasLost) return
    wasLost = !isThere
    view.note(wasLost ? 'The server is out of reach; trying again …' : 'The server is back.')
  }
}

interface View {
  show(operation: OperationWire): void
  note(text: string): void
  /** The last state, always shown. */
  end(operation: OperationWire): void
  stop(): void
}

function viewOf(context: Context): View {
  const { terminal } = context
  if (terminal.json) {
    return plainView(context, JSON_INTERVAL_MS, (operation) => {
      const { id, kind, status, progress } = operation
      terminal.object({ type: 'progress', operationId: id, kind, status, progress })
    })
  }
  if (!terminal.drawsInPlace) {
    return plainView(context, PLAIN_INTERVAL_MS, (operation) => {
      terminal.line(renderLine(operation))
    })
  }
  const bar = new LiveBar(terminal)
  return {
    show: (operation) => bar.show(operation),
    note: (text) => bar.note(text),
    // What is said of the end takes the place of the bar.
    end: () => bar.stop(),
    stop: () => bar.stop(),
  }
}

function plainView(
  { terminal, monotonicMs }: Context,
  intervalMs: number,
  write: (operation: OperationWire) => void,
): View {
  const throttle = new LineThrottle(intervalMs)
  let last = ''
  return {
    show(operation) {
      const said = JSON.stringify([operation.status, operation.progress])
      // What is final is left to `end`; what was said already is not said again.
      if (isFinal(operation.status) || said === last) return
      if (operation.progress.phase === 'waiting' && operation.progress.bytesDone === 0) return
      if (!throttle.admit(monotonicMs())) return
      last = said
      write(operation)
    },
    note: (text) => terminal.note(text),
    end: write,
    stop: () => {
      // Lines stay as they are.
    },
  }
}

async function sayInterrupted(
  context: Context,
  session: Session,
  operation: OperationWire,
  { goOnWith }: FollowOptions,
): Promise<ExitCode> {
  const { terminal } = context
  let newest = operation
  if (session.kind === 'server') {
    terminal.note(
      `The ${operation.kind} goes on in the server. Watch it again: holdfast watch ${operation.id}`,
    )
  } else {
    terminal.note('Pausing; press Ctrl-C again to leave at once.')
    newest = await pauseAndWait(session, operation.id)
    const percent = newest.progress.percent
    const at = percent === null ? formatBytes(newest.progress.bytesDone) : `${percent}%`
    terminal.note(
      newest.status === 'paused'
        ? `Paused at ${at}. Go on: ${goOnWith ?? `holdfast resume ${newest.id}`}`
        : `The ${newest.kind} is ${newest.status}.`,
    )
  }
  if (terminal.json) {
    terminal.object({
      type: 'result',
      exitCode: EXIT.interrupted,
      operation: newest,
      snapshot: null,
    })
  }
  return EXIT.interrupted
}

async function pauseAndWait(session: Session, id: string): Promise<OperationWire> {
  try {
    await session.pause(id)
  } catch {
    return await session.operation(id) // it has just ended
  }
  const paused = new AbortController()
  try {
    const onOperation = ({ status }: OperationWire) => {
      if (status === 'paused') paused.abort()
    }
    return await session.follow(id, { onOperation }, paused.signal)
  } catch (error) {
    if (!paused.signal.aborted) throw error
    return await session.operation(id)
  }
}
