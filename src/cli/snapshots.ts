import { resolve } from 'node:path'
import type { SourceWire } from '@holdfast/sdk'
import { AppError } from '../core/errors.ts'
import { optionalPositional, parseArguments, wholeNumber } from './arguments.ts'
import { type Command, withSession } from './command.ts'
import { EXIT } from './exit-codes.ts'
import { formatBytes, formatCount, formatTable, formatTime, printable } from './format.ts'
import type { Session } from './session.ts'

const LIMIT_DEFAULT = 50
const LIMIT_MAX = 100_000

export const snapshots: Command = {
  usage: 'snapshots [SOURCE] [--limit COUNT]',
  summary: 'list what can be restored, newest first',
  options: [
    ['SOURCE', 'only of this source: its id, its name or its folder'],
    ['--limit COUNT', `how many at most; ${LIMIT_DEFAULT}`],
  ],
  async run(args, context) {
    const { values, positionals } = parseArguments(args, { limit: { type: 'string' } })
    const given = optionalPositional(positionals)
    const limit = wholeNumber('--limit', values.limit ?? String(LIMIT_DEFAULT), 1, LIMIT_MAX)
    return await withSession(context, { create: false, work: false }, async (session) => {
      const sources = await session.sources()
      const wanted = given === undefined ? null : findSource(sources, given)
      const found = await session.snapshots({
        ...(wanted === null ? {} : { sourceId: wanted.id }),
        limit,
      })
      const { terminal } = context
      if (terminal.json) for (const snapshot of found) terminal.object(snapshot)
      else for (const line of tableOf(found, sources)) terminal.line(line)
      if (found.length === 0) terminal.note('No snapshots yet. Make one: holdfast backup PATH')
      return EXIT.done
    })
  },
}

/** People name a source as they remember it; two of the same name have to be told apart. */
function findSource(sources: readonly SourceWire[], text: string): SourceWire {
  const found = sources.filter(
    ({ id, name, config }) => id === text || name === text || config['path'] === resolve(text),
  )
  const exact = found.find(({ id }) => id === text)
  if (exact !== undefined) return exact
  if (found.length > 1) {
    const ids = found.map(({ id }) => id)
    throw new AppError('conflict', `${found.length} sources are meant by that: ${ids.join(', ')}`)
  }
  if (found[0] === undefined) throw new AppError('not_found', `no source ${printable(text)}`)
  return found[0]
}

function tableOf(
  found: Awaited<ReturnType<Session['snapshots']>>,
  sources: readonly SourceWire[],
): string[] {
  if (found.length === 0) return []
  const nameOf = new Map(sources.map(({ id, name }) => [id, name]))
  return formatTable([
    ['SNAPSHOT', 'TIME', 'SOURCE', 'FILES', 'SIZE', 'KEPT AS', 'STATE'],
    ...found.map((snapshot) => [
      snapshot.id,
      formatTime(snapshot.createdAt),
      printable(nameOf.get(snapshot.sourceId) ?? snapshot.sourceId),
      formatCount(snapshot.itemCount),
      formatBytes(snapshot.contentBytes),
      formatBytes(snapshot.bytes),
      stateOf(snapshot),
    ]),
  ])
}

function stateOf(snapshot: Awaited<ReturnType<Session['snapshots']>>[number]): string {
  const words = [
    snapshot.verifiedWell === null ? null : snapshot.verifiedWell ? 'verified' : 'DAMAGED',
    snapshot.pinned ? 'pinned' : null,
    snapshot.warningCount > 0 ? `${formatCount(snapshot.warningCount)} warnings` : null,
  ].filter((word) => word !== null)
  return words.join(', ')
}
