import type { App } from '../app.ts'
import { parseConfig } from '../config.ts'
import { createLog } from '../platform/log.ts'
import { noPositionals, parseArguments } from './arguments.ts'
import type { Command, Context } from './command.ts'
import { EXIT } from './exit-codes.ts'

export const serve: Command = {
  usage: 'serve [--host HOST] [--port PORT] [--data FOLDER]',
  summary: 'run the server and its dashboard',
  options: [
    ['--host HOST', 'the address to listen on; 127.0.0.1'],
    ['--port PORT', 'the port to listen on, 0 for a free one; 8080'],
    ['--data FOLDER', 'where everything is kept; ./data'],
  ],
  async run(args, context) {
    const { values, positionals } = parseArguments(args, {
      host: { type: 'string' },
      port: { type: 'string' },
    })
    noPositionals(positionals)
    const config = parseConfig({
      ...context.env,
      ...(values.host === undefined ? {} : { HOLDFAST_HOST: values.host }),
      ...(values.port === undefined ? {} : { HOLDFAST_PORT: values.port }),
    })
    const { startApp } = await import('../app.ts')
    const terminated = whenTerminated(context)
    const app = await startUntil(terminated, () =>
      startApp(config, { log: createLog(config.logLevel) }),
    )
    if (app === 'stopped') return EXIT.done
    if (app === 'stuck') {
      context.exit(EXIT.interrupted)
      return EXIT.interrupted
    }
    const { terminal } = context
    terminal.line(`holdfast ready url=${app.url} pid=${process.pid} version=${context.version}`)
    if (app.adminToken !== null && !terminal.json) {
      terminal.note(`\nAdmin token, shown this once: ${app.adminToken}`)
      await app.adminTokenShown()
    }
    terminal.note(`\nDashboard: ${await app.signInUrl()}\nA fresh link: holdfast sign-in\n`)
    await terminated
    await app.close()
    return EXIT.done
  },
}

/** A start that is told to stop has this long to come to an end that can be closed in order. */
const START_PATIENCE_MS = 5_000

/** Told to stop while it starts: what comes of that is closed, or (`stuck`) ends with the process. */
async function startUntil(
  terminated: Promise<void>,
  start: () => Promise<App>,
): Promise<App | 'stopped' | 'stuck'> {
  const starting = start()
  const app = await Promise.race([starting, terminated])
  if (app !== undefined) return app
  const late = Promise.withResolvers<'stuck'>()
  const timer = setTimeout(late.resolve, START_PATIENCE_MS, 'stuck' as const)
  const ended = starting.then(
    async (started) => {
      await started.close()
      return 'stopped' as const
    },
    // Why it could not start does not matter any more.
    () => 'stopped' as const,
  )
  const how = await Promise.race([ended, late.promise])
  clearTimeout(timer)
  return how
}

/** Settles at the first SIGTERM or Ctrl-C; the second ends the process at once. */
function whenTerminated(context: Context): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  let asked = false
  context.onInterrupt(() => {
    if (asked) context.exit(EXIT.interrupted)
    asked = true
    context.terminal.note('Stopping: what runs is brought to a checkpoint. Again to stop at once.')
    resolve()
  })
  return promise
}
