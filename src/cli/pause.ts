import { onePositional, parseArguments } from './arguments.ts'
import { type Command, withSession } from './command.ts'
import { EXIT } from './exit-codes.ts'

export const pause: Command = {
  usage: 'pause ID',
  summary: 'stop an operation at its next checkpoint, to go on later',
  options: [],
  async run(args, context) {
    const { positionals } = parseArguments(args, {})
    const id = onePositional(positionals, 'ID')
    return await withSession(context, { create: false, work: false }, async (session) => {
      const operation = await session.pause(id)
      const { terminal } = context
      if (terminal.json) terminal.object(operation)
      else
        terminal.line(operation.status === 'paused' ? 'paused' : 'pausing at its next checkpoint')
      return EXIT.done
    })
  },
}
