import { onePositional, parseArguments } from './arguments.ts'
import { type Command, withSession } from './command.ts'
import { EXIT } from './exit-codes.ts'

export const cancel: Command = {
  usage: 'cancel ID',
  summary: 'end an operation for good; what it has half made is removed',
  options: [],
  async run(args, context) {
    const { positionals } = parseArguments(args, {})
    const id = onePositional(positionals, 'ID')
    return await withSession(context, { create: false, work: false }, async (session) => {
      const operation = await session.cancel(id)
      const { terminal } = context
      if (terminal.json) terminal.object(operation)
      else terminal.line(operation.status === 'cancelled' ? 'cancelled' : 'cancelling')
      return EXIT.done
    })
  },
}
