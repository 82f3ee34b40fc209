import { onePositional, parseArguments } from './arguments.ts'
import { type Command, withSession } from './command.ts'
import { EXIT } from './exit-codes.ts'
import { followToEnd } from './follow.ts'

export const resume: Command = {
  usage: 'resume ID',
  summary: 'go on with a paused operation',
  options: [],
  async run(args, context) {
    const { positionals } = parseArguments(args, {})
    const id = onePositional(positionals, 'ID')
    return await withSession(context, { create: false, work: true }, async (session) => {
      const operation = await session.resume(id)
      // In this process it runs for as long as the command does.
      if (session.kind === 'embedded') return await followToEnd(context, session, operation)
      const { terminal } = context
      if (terminal.json) terminal.object(operation)
      else terminal.line(`goes on in the server; watch it: holdfast watch ${id}`)
      return EXIT.done
    })
  },
}
