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
    const app = await startApp(config, { log: createLog(config.logLevel) })
    context.terminal.line(
      `holdfast ready url=${app.url} pid=${process.pid} version=${context.version}`,
    )
    if (app.adminToken !== null) {
      context.terminal.note(`\nAdmin token, shown this once: ${app.adminToken}`)
    }
    context.terminal.note(`\nDashboard: ${await app.signInUrl()}\nA fresh link: holdfast sign-in\n`)
    await terminated
    await app.close()
    return EXIT.done
  },
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
