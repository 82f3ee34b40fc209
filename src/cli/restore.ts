import { resolve } from 'node:path'
import type { RestoreRequest } from '@holdfast/sdk'
import { oneOf, onePositional, parseArguments } from './arguments.ts'
import { type Command, withSession } from './command.ts'
import { followToEnd } from './follow.ts'

const MODES = ['merge', 'replace'] as const

export const restore: Command = {
  usage: 'restore SNAPSHOT [--to PATH] [--path GLOB…] [--mode merge|replace]',
  summary: 'bring back a snapshot, or parts of it',
  options: [
    ['--to PATH', 'where to; in place when left out'],
    [
      '--path GLOB',
      'only what matches, relative to the snapshot (* ** ?); give it as often as needed',
    ],
    ['--mode merge', 'keep what is not in the snapshot'],
    ['--mode replace', 'swap the whole folder for what is in the snapshot'],
  ],
  async run(args, context) {
    const { values, positionals } = parseArguments(args, {
      to: { type: 'string' },
      path: { type: 'string', multiple: true },
      mode: { type: 'string' },
    })
    const snapshotId = onePositional(positionals, 'SNAPSHOT')
    const request: RestoreRequest = {
      ...(values.to === undefined ? {} : { target: { path: resolve(values.to) } }),
      ...(values.path === undefined ? {} : { paths: values.path }),
      ...(values.mode === undefined ? {} : { mode: oneOf('--mode', values.mode, MODES) }),
    }
    return await withSession(context, { create: false, work: true }, async (session) => {
      const operation = await session.restore(snapshotId, request)
      return await followToEnd(context, session, operation)
    })
  },
}
