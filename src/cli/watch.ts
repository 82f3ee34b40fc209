import { AppError } from '../core/errors.ts'
import { onePositional, parseArguments } from './arguments.ts'
import { type Command, withSession } from './command.ts'
import { followToEnd } from './follow.ts'

export const watch: Command = {
  usage: 'watch ID',
  summary: 'follow an operation to its end',
  options: [],
  async run(args, context) {
    const { positionals } = parseArguments(args, {})
    const id = onePositional(positionals, 'ID')
    return await withSession(context, { create: false, work: true }, async (session) => {
      const operation = await session.operation(id)
      if (session.kind === 'embedded' && operation.status === 'paused') {
        // Nobody else could resume it while this process has the data folder.
        throw new AppError('conflict', `it is paused; go on with it: holdfast resume ${id}`)
      }
      return await followToEnd(context, session, operation)
    })
  },
}
