import { execFile } from 'node:child_process'
import { access, constants, mkdtemp, open, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { freeBytesOf, isMissing } from '../platform/files.ts'
import { readInstanceHolder } from '../platform/instance-lock.ts'
import { formatBytes, formatCount, formatTime } from './format.ts'
import { isProcessThere } from './server-address.ts'
import type { Session } from './session.ts'

export type CheckState = 'broken' | 'warning' | 'ok'

export interface Check {
  readonly name: string
  readonly state: CheckState
  /** What was found and, where it is not well, what to do. */
  readonly says: string
}

const ORDER: readonly CheckState[] = ['broken', 'warning', 'ok']

export const worstFirst = (checks: readonly Check[]): Check[] =>
  [...checks].sort((left, right) => ORDER.indexOf(left.state) - ORDER.indexOf(right.state))

const NODE_MIN = [24, 16] as const

export function checkNode(version: string): Check {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const enough = major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1])
  return {
    name: 'node',
    state: enough ? 'ok' : 'broken',
    says: enough ? `Node ${version}` : `Node ${version}; ${NODE_MIN.join('.')} or newer is needed`,
  }
}

const FREE_BYTES_LOW = 1024 ** 3
const FREE_BYTES_NONE = 64 * 1024 ** 2

/** Looks at the folder, or at where it would be made. */
export async function checkDataFolder(folder: string): Promise<Check> {
  const name = 'data folder'
  try {
    const there = await nearestFolder(folder)
    await access(there, constants.W_OK)
    const freeBytes = await freeBytesOf(there)
    const room = `${folder}, ${formatBytes(freeBytes)} free`
    if (freeBytes < FREE_BYTES_NONE) {
      return { name, state: 'broken', says: `${room}: nothing can be kept; make room` }
    }
    if (freeBytes < FREE_BYTES_LOW) return { name, state: 'warning', says: `${room}: make room` }
    return { name, state: 'ok', says: there === folder ? room : `${room}, made at the first start` }
  } catch (error) {
    return { name, state: 'broken', says: `${folder} cannot be written: ${sentenceOf(error)}` }
  }
}

async function nearestFolder(folder: string): Promise<string> {
  try {
    const found = await stat(folder)
    if (found.isDirectory()) return folder
    throw new Error('it is not a folder')
  } catch (error) {
    if (!isMissing(error) || dirname(folder) === folder) throw error
    return await nearestFolder(dirname(folder))
  }
}

const FSYNC_TRIAL_MS = 300
const FSYNC_SLOW_PER_SECOND = 30

/** How fast what is acknowledged gets onto the disk: every change of an operation waits for it. */
export async function checkFsync(folder: string, monotonicMs: () => number): Promise<Check> {
  const name = 'fsync'
  let trial: string | null = null
  try {
    trial = await mkdtemp(join(await nearestFolder(folder), '.holdfast-doctor-'))
    const handle = await open(join(trial, 'trial'), 'w')
    const block = Buffer.alloc(4096, 1)
    const startMs = monotonicMs()
    let count = 0
    try {
      while (monotonicMs() - startMs < FSYNC_TRIAL_MS) {
        await handle.write(block)
        await handle.sync()
        count += 1
      }
    } finally {
      await handle.close()
    }
    const perSecond = Math.round(count / ((monotonicMs() - startMs) / 1000))
    const slow = perSecond < FSYNC_SLOW_PER_SECOND
    const says = `${formatCount(perSecond)} a second${slow ? ': everything waits for this disk; use a faster one' : ''}`
    return { name, state: slow ? 'warning' : 'ok', says }
  } catch (error) {
    return { name, state: 'broken', says: `could not be tried: ${sentenceOf(error)}` }
  } finally {
    if (trial !== null) await rm(trial, { recursive: true, force: true })
  }
}

const run = promisify(execFile)

/** A program that makes something better, and is not needed. */
export async function checkProgram(program: string, without: string): Promise<Check> {
  try {
    const { stdout } = await run(program, ['--version'], { timeout: 5_000 })
    return { name: program, state: 'ok', says: stdout.split('\n', 1)[0]?.trim() || 'installed' }
  } catch (error) {
    const missing = isMissing(error)
    const says = missing ? `not installed: ${without}` : `does not start: ${sentenceOf(error)}`
    return { name: program, state: 'warning', says }
  }
}

/** Says who has the data folder; nobody is fine too. */
export async function checkHolder(folder: string): Promise<Check> {
  const name = 'data folder is used by'
  const holder = await readInstanceHolder(folder)
  if (holder === null) return { name, state: 'ok', says: 'nobody' }
  const { pid, url, startedAt } = holder
  if (!isProcessThere(pid)) {
    return { name, state: 'ok', says: `nobody; process ${pid} ended without saying so` }
  }
  const what = url === null ? 'a command' : `a server at ${url}`
  return { name, state: 'ok', says: `${what}, process ${pid}, since ${formatTime(startedAt)}` }
}

/** Those that were given: ours are long. */
export function checkKeys(weaknesses: readonly string[]): Check {
  const name = 'keys'
  if (weaknesses.length > 0) return { name, state: 'warning', says: weaknesses.join('; ') }
  return { name, state: 'ok', says: 'long enough' }
}

export async function checkDatabase(open: () => Promise<Session>): Promise<{
  check: Check
  session: Session | null
}> {
  const name = 'database'
  try {
    const session = await open()
    await session.operations({ limit: 1 })
    const how = session.kind === 'server' ? 'answers through the server' : 'opened, and up to date'
    return { check: { name, state: 'ok', says: how }, session }
  } catch (error) {
    return { check: { name, state: 'broken', says: sentenceOf(error) }, session: null }
  }
}

export async function checkPools(session: Session): Promise<Check[]> {
  try {
    const pools = await session.pools()
    return pools.map(({ id, kind, freeBytes, usedBytes, snapshotCount }) => {
      const kept = `${kind}, ${formatCount(snapshotCount)} snapshots in ${formatBytes(usedBytes)}`
      const free = freeBytes === null ? '' : `, ${formatBytes(freeBytes)} free`
      const low = freeBytes !== null && freeBytes < FREE_BYTES_LOW
      const says = `${kept}${free}${low ? ': make room' : ''}`
      return { name: `pool ${id}`, state: low ? 'warning' : 'ok', says }
    })
  } catch (error) {
    return [{ name: 'pools', state: 'broken', says: sentenceOf(error) }]
  }
}

/** Software of 2024 does not run before it; records of the future mean that the clock was set back. */
const EARLIEST_MS = Date.UTC(2024, 0, 1)
const AHEAD_MS = 60_000

export function checkClock(nowMs: number, newestRecord: string | null): Check {
  const name = 'clock'
  const now = formatTime(new Date(nowMs).toISOString())
  if (nowMs < EARLIEST_MS) {
    return { name, state: 'broken', says: `it is not ${now}: set the clock of this machine` }
  }
  if (newestRecord !== null && Date.parse(newestRecord) > nowMs + AHEAD_MS) {
    const says = `${now}, and a record of ${formatTime(newestRecord)} exists already: the clock was set back`
    return { name, state: 'warning', says }
  }
  return { name, state: 'ok', says: now }
}

const sentenceOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error)
