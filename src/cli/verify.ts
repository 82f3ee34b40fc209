import { onePositional, parseArguments } from './arguments.ts'
import { type Command, withSession } from './command.ts'
import { followToEnd } from './follow.ts'

export const verify: Command = {
  usage: 'verify SNAPSHOT',
  summary: 'read a snapshot again and compare it with its manifest',
  options: [],
  async run(args, context) {
    const { positionals } = parseArguments(args, {})
    const snapshotId = onePositional(positionals, 'SNAPSHOT')
    return await withSession(context, { create: false, work: true }, async (session) => {
      const operation = await session.verify(snapshotId)
      return await followToEnd(context, session, operation)
    })
  },
}
