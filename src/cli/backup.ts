import { realpath } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import type { OperationWire, SourceWire } from '@holdfast/sdk'
import { AppError } from '../core/errors.ts'
import { oneOf, onePositional, parseArguments } from './arguments.ts'
import { type Command, type Context, withSession } from './command.ts'
import { followToEnd } from './follow.ts'
import { formatBytes, printable } from './format.ts'
import type { Session } from './session.ts'

const COMPRESSIONS = ['none', 'gzip', 'zstd'] as const

export const backup: Command = {
  usage: 'backup PATH [--name NAME] [--ignore RULES] [--compression KIND] [--pool POOL]',
  summary: 'back up a folder, with or without a server',
  options: [
    ['--name NAME', 'what the source is called when it is new; the last part of the path'],
    ['--ignore RULES', 'what to leave out, as in a .gitignore; give it once per rule'],
    ['--compression KIND', 'none, gzip or zstd; zstd'],
    ['--pool POOL', 'where the archive is kept; local'],
  ],
  async run(args, context) {
    const { values, positionals } = parseArguments(args, {
      name: { type: 'string' },
      ignore: { type: 'string', multiple: true },
      compression: { type: 'string' },
      pool: { type: 'string' },
    })
    const given = onePositional(positionals, 'PATH')
    const { compression, ignore } = values
    const input = {
      ...(ignore === undefined ? {} : { ignore: ignore.join('\n') }),
      ...(compression === undefined
        ? {}
        : { compression: oneOf('--compression', compression, COMPRESSIONS) }),
    }
    const path = resolve(given)
    return await withSession(context, { create: true, work: true }, async (session) => {
      const source = await findOrCreateSource(session, path, values.name)
      const goOnWith = `holdfast backup ${quoteForShell(given)}`
      const earlier = await goOnWithEarlier(context, session, source)
      const operation =
        earlier ??
        (await session.submit({
          kind: 'backup',
          sourceId: source.id,
          ...(values.pool === undefined ? {} : { poolId: values.pool }),
          input,
        }))
      if (earlier === null) sayStart(context, session, source, operation)
      return await followToEnd(context, session, operation, { goOnWith })
    })
  },
}

/** The source that protects this folder, made when there is none. */
async function findOrCreateSource(
  session: Session,
  path: string,
  name: string | undefined,
): Promise<SourceWire> {
  const candidates = new Set([path, await realPathOrSame(path)])
  const found = (await session.sources()).filter(
    ({ kind, config }) =>
      kind === 'directory' && typeof config['path'] === 'string' && candidates.has(config['path']),
  )
  const named = name === undefined ? found[0] : found.find((source) => source.name === name)
  if (named !== undefined) return named
  // A server may be on another machine, where the folder can be what it is not here.
  if (session.kind === 'embedded') await assertFolder(path)
  return await session.createSource({ name: name ?? nameOfPath(path), config: { path } })
}

const nameOfPath = (path: string): string => basename(path) || path

async function realPathOrSame(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch {
    return path // not here, or not to be read: the engine says so in its own words
  }
}

/** Before a source is made of it: a mistyped path should leave nothing behind. */
async function assertFolder(path: string): Promise<void> {
  try {
    await realpath(path)
  } catch (error) {
    throw new AppError('not_found', `there is no folder ${path}`, {}, error)
  }
}

/**
 * A backup of the same folder that has not ended is gone on with: one that was
 * paused or cut off continues from its checkpoint, one that runs is watched.
 */
async function goOnWithEarlier(
  { terminal }: Context,
  session: Session,
  source: SourceWire,
): Promise<OperationWire | null> {
  const [earlier] = await session.operations({
    kind: 'backup',
    statuses: ['pending', 'running', 'paused'],
    sourceId: source.id,
    limit: 1,
  })
  if (earlier === undefined) return null
  const { id, status, attempt } = earlier
  const at = placeOf(earlier)
  if (status === 'paused') {
    terminal.note(`Going on with the backup that was paused${at} (${id}).`)
    return await session.resume(id)
  }
  terminal.note(
    attempt > 0 && session.kind === 'embedded'
      ? `Going on with the backup that was interrupted${at} (${id}).`
      : `A backup of this folder is ${status} already: watching it (${id}).`,
  )
  return earlier
}

/** How far it is known to have come; what was stored last may say nothing yet. */
function placeOf({ progress }: OperationWire): string {
  if (progress.bytesDone === 0) return ''
  return ` at ${progress.percent === null ? formatBytes(progress.bytesDone) : `${progress.percent}%`}`
}

function sayStart(
  { terminal }: Context,
  session: Session,
  source: SourceWire,
  { id }: OperationWire,
): void {
  const where = session.kind === 'server' ? 'in the running server' : 'in this process'
  terminal.note(`Backing up ${printable(source.name)} ${where} (${id}).`)
}

const quoteForShell = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`
