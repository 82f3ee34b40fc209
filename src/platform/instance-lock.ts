import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pid } from 'node:process'
import { DatabaseSync } from 'node:sqlite'
import { AppError } from '../core/errors.ts'
import type { Clock } from './clock.ts'
import { makeFolder, removeFile, writeFileDurably } from './files.ts'

/** Who has a data folder, as it said of itself. */
export interface InstanceHolder {
  readonly pid: number
  /** `null` until it listens, and for a command that never does. */
  readonly url: string | null
  readonly startedAt: string
}

export interface InstanceLock {
  /** Tells others where this instance can be reached. */
  announce(url: string): Promise<void>
  /** Gives the folder free. May be called again. */
  release(): Promise<void>
}

const LOCK_FILE = 'instance.lock'
const HOLDER_FILE = 'instance.json'

/**
 * Makes this the only process on a data folder; refuses (`conflict`, naming who
 * has it) where there is another. The lock is SQLite's own on a file of its
 * own: the kernel drops it when the process ends, also by kill -9, so it is
 * never stale. The file beside it only says who it is.
 */
export async function acquireInstanceLock(
  dataFolder: string,
  clock: Pick<Clock, 'nowMs'>,
): Promise<InstanceLock> {
  await makeFolder(dataFolder)
  const lock = await lockFile(dataFolder)
  const holderFile = join(dataFolder, HOLDER_FILE)
  const startedAt = new Date(clock.nowMs()).toISOString()
  const say = (url: string | null) => {
    const holder: InstanceHolder = { pid, url, startedAt }
    return writeFileDurably(holderFile, `${JSON.stringify(holder)}\n`)
  }
  try {
    await say(null)
  } catch (error) {
    lock.close()
    throw error
  }
  return {
    announce: say,
    async release() {
      if (!lock.isOpen) return
      // First the name, then the lock: the other way round the name of the next holder would go.
      await removeFile(holderFile)
      lock.close()
    },
  }
}

async function lockFile(dataFolder: string): Promise<DatabaseSync> {
  const lock = new DatabaseSync(join(dataFolder, LOCK_FILE), { timeout: 0 })
  try {
    lock.exec('pragma journal_mode = memory; pragma locking_mode = exclusive; begin exclusive')
    return lock
  } catch (error) {
    lock.close()
    if (error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY) {
      throw inUse(await readInstanceHolder(dataFolder), error)
    }
    throw error
  }
}

/** https://www.sqlite.org/rescode.html#busy */
const SQLITE_BUSY = 5

function inUse(holder: InstanceHolder | null, cause: unknown): AppError {
  const who =
    holder === null
      ? 'another process'
      : `process ${holder.pid}${holder.url === null ? '' : ` at ${holder.url}`}, started ${holder.startedAt}`
  return new AppError(
    'conflict',
    `the data folder is in use by ${who}; stop it first, or choose another folder with HOLDFAST_DATA`,
    holder === null ? {} : { pid: holder.pid, url: holder.url, startedAt: holder.startedAt },
    cause,
  )
}

/** Who has, or last had, a data folder. `null` where nobody says so. Ask only: it proves nothing. */
export async function readInstanceHolder(dataFolder: string): Promise<InstanceHolder | null> {
  try {
    const said: unknown = JSON.parse(await readFile(join(dataFolder, HOLDER_FILE), 'utf8'))
    return isHolder(said) ? said : null
  } catch {
    return null // missing, or cut: nobody says so
  }
}

const isHolder = (said: unknown): said is InstanceHolder =>
  typeof said === 'object' &&
  said !== null &&
  'pid' in said &&
  typeof said.pid === 'number' &&
  'startedAt' in said &&
  typeof said.startedAt === 'string' &&
  'url' in said &&
  (said.url === null || typeof said.url === 'string')
