import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isMissing, systemCodeOf } from '../platform/files.ts'
import { readInstanceHolder } from '../platform/instance-lock.ts'

/** Where a server of this data folder says it is. */
export interface ServerAddress {
  readonly url: string
  readonly pid: number
}

/** `null` where nobody has the folder, or whoever has it does not listen. */
export async function readServerAddress(dataFolder: string): Promise<ServerAddress | null> {
  const holder = await readInstanceHolder(dataFolder)
  if (holder === null || holder.url === null || !isProcessThere(holder.pid)) return null
  return { url: holder.url, pid: holder.pid }
}

/** What a server of this folder accepts from the commands beside it. */
export async function readAdminToken(dataFolder: string): Promise<string | null> {
  try {
    return (await readFile(join(dataFolder, 'admin-token'), 'utf8')).trim() || null
  } catch (error) {
    if (isMissing(error)) return null
    throw error
  }
}

/** Whether a process of this number is there. It can be another one by now. */
export function isProcessThere(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return systemCodeOf(error) === 'EPERM'
  }
}
