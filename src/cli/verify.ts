import { resolve } from 'node:path'
import { onePositional, parseArguments } from './arguments.ts'
import { type Command, withSession } from './command.ts'
import { followToEnd } from './follow.ts'

export const verify: Command = {
  usage: 'verify SNAPSHOT [--against PATH] [--path GLOB…]',
  summary: 'read a snapshot again, or compare a folder with it byte for byte',
  options: [
    ['--against PATH', 'the folder to compare, such as one it was restored to'],
    ['--path GLOB', 'compare only what matches, as in a restore; give it as often as needed'],
  ],
  async run(args, context) {
    const { values, positionals } = parseArguments(args, {
      against: { type: 'string' },
      path: { type: 'string', multiple: true },
    })
    const snapshotId = onePositional(positionals, 'SNAPSHOT')
    const request = {
      ...(values.against === undefined ? {} : { target: { path: resolve(values.against) } }),
      ...(values.path === undefined ? {} : { paths: values.path }),
    }
    return await withSession(context, { create: false, work: true }, async (session) => {
      const operation = await session.verify(snapshotId, request)
      return await followToEnd(context, session, operation)
    })
  },
}
