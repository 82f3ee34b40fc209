import { AppError } from '../core/errors.ts'
import { noPositionals, parseArguments } from './arguments.ts'
import { type Command, withSession } from './command.ts'
import { EXIT } from './exit-codes.ts'
import { formatTime } from './format.ts'
import { ServerSession } from './session-server.ts'

export const signIn: Command = {
  usage: 'sign-in',
  summary: 'print a fresh link that opens the dashboard signed in',
  options: [],
  async run(args, context) {
    const { positionals } = parseArguments(args, {})
    noPositionals(positionals)
    return await withSession(context, { create: false, work: false }, async (session) => {
      if (!(session instanceof ServerSession)) {
        throw new AppError('conflict', 'no server is running here; start one with holdfast serve')
      }
      const link = await session.holdfast.sessions.link()
      const { terminal } = context
      if (terminal.json) terminal.object(link)
      else {
        terminal.line(link.url)
        terminal.note(`Works once, until ${formatTime(link.expiresAt)}.`)
      }
      return EXIT.done
    })
  },
}
