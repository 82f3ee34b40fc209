import { type Config, parseConfig, weakKeys } from '../config.ts'
import { noPositionals, parseArguments } from './arguments.ts'
import type { Command, Context } from './command.ts'
import {
  type Check,
  checkClock,
  checkDatabase,
  checkDataFolder,
  checkFsync,
  checkHolder,
  checkKeys,
  checkNode,
  checkPools,
  checkProgram,
  worstFirst,
} from './doctor-checks.ts'
import { EXIT } from './exit-codes.ts'
import { printable } from './format.ts'

const MARKS = { broken: '✗', warning: '!', ok: '✓' } as const
const STYLES = { broken: 'red', warning: 'yellow', ok: 'green' } as const

export const doctor: Command = {
  usage: 'doctor',
  summary: 'check this machine and the data folder, worst first',
  options: [],
  async run(args, context) {
    const { positionals } = parseArguments(args, {})
    noPositionals(positionals)
    const checks = worstFirst(await checkAll(context))
    const { terminal } = context

    const width = Math.max(...checks.map(({ name }) => name.length))
    for (const { state, name, says } of checks) {
      if (terminal.json) terminal.object({ name, state, says })
      else {
        const mark = terminal.style(STYLES[state], MARKS[state])
        terminal.line(`${mark} ${name.padEnd(width)}  ${printable(says)}`)
      }
    }
    return checks.some(({ state }) => state === 'broken') ? EXIT.failed : EXIT.done
  },
}

async function checkAll(context: Context): Promise<Check[]> {
  const settings = readSettings(context)
  const node = checkNode(process.versions.node)
  if ('problem' in settings) return [node, settings.problem]
  const { dataFolder } = settings.config
  const keys = checkKeys(weakKeys(settings.config))
  const programs = await Promise.all([
    checkProgram('zstd', 'zstd archives are made on one core; install the package zstd'),
    checkProgram('getfattr', 'extended attributes are not kept; install the package attr'),
  ])
  return [
    node,
    await checkDataFolder(dataFolder),
    await checkFsync(dataFolder, context.monotonicMs),
    ...programs,
    keys,
    await checkHolder(dataFolder),
    ...(await checkRecords(context)),
  ]
}

function readSettings(context: Context): { config: Config } | { problem: Check } {
  try {
    return { config: parseConfig(context.env) }
  } catch (error) {
    const says = error instanceof Error ? error.message : String(error)
    return { problem: { name: 'settings', state: 'broken', says } }
  }
}

/** What only the records can tell. */
async function checkRecords(context: Context): Promise<Check[]> {
  const { check, session } = await checkDatabase(() =>
    context.openSession({ create: true, work: false }),
  )
  if (session === null) return [check, checkClock(context.nowMs(), null)]
  try {
    const [newest] = await session.operations({ limit: 1 })
    const pools = await checkPools(session)
    return [check, ...pools, checkClock(context.nowMs(), newest?.createdAt ?? null)]
  } finally {
    await session.close()
  }
}
