import type { OperationWire } from '@holdfast/sdk'
import { STATUSES } from '../core/operation.ts'
import { oneOf, optionalPositional, parseArguments, wholeNumber } from './arguments.ts'
import { type Command, withSession } from './command.ts'
import { EXIT } from './exit-codes.ts'
import { formatBytes, formatTable, formatTime, printable } from './format.ts'

const LIMIT_DEFAULT = 20
const LIMIT_MAX = 100_000
const WARNINGS_MAX = 500

export const operations: Command = {
  usage: 'operations [ID] [--kind KIND] [--status STATUS] [--limit COUNT]',
  summary: 'list operations, newest first, or show one with its warnings',
  options: [
    ['--kind KIND', 'such as backup, restore, verify'],
    ['--status STATUS', `one of ${STATUSES.join(', ')}`],
    ['--limit COUNT', `how many at most; ${LIMIT_DEFAULT}`],
  ],
  async run(args, context) {
    const { values, positionals } = parseArguments(args, {
      kind: { type: 'string' },
      status: { type: 'string' },
      limit: { type: 'string' },
    })
    const id = optionalPositional(positionals)
    const limit = wholeNumber('--limit', values.limit ?? String(LIMIT_DEFAULT), 1, LIMIT_MAX)
    const statuses =
      values.status === undefined ? undefined : [oneOf('--status', values.status, STATUSES)]
    const { terminal } = context
    return await withSession(context, { create: false, work: false }, async (session) => {
      if (id !== undefined) {
        const operation = await session.operation(id)
        const warnings = await session.warnings(id, WARNINGS_MAX)
        if (terminal.json) terminal.object({ ...operation, warnings })
        else for (const line of describe(operation)) terminal.line(line)
        if (!terminal.json) {
          for (const { code, message, item } of warnings) {
            terminal.line(`${code}: ${printable(message)}${item ? ` (${printable(item)})` : ''}`)
          }
        }
        return EXIT.done
      }
      const found = await session.operations({
        ...(values.kind === undefined ? {} : { kind: values.kind }),
        ...(statuses === undefined ? {} : { statuses }),
        limit,
      })
      if (terminal.json) for (const operation of found) terminal.object(operation)
      else for (const line of tableOf(found)) terminal.line(line)
      if (found.length === 0) terminal.note('No operations.')
      return EXIT.done
    })
  },
}

function tableOf(found: readonly OperationWire[]): string[] {
  if (found.length === 0) return []
  return formatTable([
    ['OPERATION', 'TIME', 'KIND', 'STATUS', 'DONE', 'WHY'],
    ...found.map(({ id, createdAt, kind, status, outcome, progress, statusReason }) => [
      id,
      formatTime(createdAt),
      kind,
      outcome === 'warning' ? `${status} with warnings` : status,
      progress.percent === null ? formatBytes(progress.bytesDone) : `${progress.percent}%`,
      printable(statusReason),
    ]),
  ])
}

function describe(operation: OperationWire): string[] {
  const { id, kind, status, outcome, statusReason, createdAt, finishedAt, progress } = operation
  const rows = [
    ['operation', id],
    ['kind', kind],
    ['status', outcome === 'warning' ? `${status} with warnings` : status],
    ['why', printable(statusReason)],
    ['created', formatTime(createdAt)],
    ...(finishedAt === null ? [] : [['finished', formatTime(finishedAt)]]),
    ['bytes', formatBytes(progress.bytesDone)],
    ...(operation.resumedCount === 0
      ? []
      : [
          ['resumed', `${operation.resumedCount} times`],
          ['not done again', formatBytes(operation.bytesNotRedone)],
        ]),
    ...(operation.error === null ? [] : [['error', printable(operation.error.message)]]),
  ]
  return formatTable(rows)
}
