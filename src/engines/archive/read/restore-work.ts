import { readdir, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { isInside, isMissing } from '../../../platform/files.ts'
import type { ReadPool } from './read-pool.ts'

/** The private directory of one attempt, beside the target (in it, where it is mounted). */
export const workName = (operationId: string, attempt: number): string =>
  `.holdfast-${operationId}-${attempt}`

/** Removes the private directories of an operation, those of its earlier attempts included. */
export async function removeWork(
  threads: ReadPool,
  operationId: string,
  target: string,
): Promise<void> {
  const never = new AbortController().signal
  for (const directory of [dirname(target), target]) {
    for (const name of await namesIn(directory)) {
      if (!name.startsWith(`.holdfast-${operationId}-`)) continue
      await threads.run({ kind: 'remove', path: join(directory, name) }, never)
    }
  }
}

async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory)
  } catch (error) {
    if (isMissing(error) || (error as NodeJS.ErrnoException).code === 'ENOTDIR') return []
    throw error
  }
}

/** Removes directories that were made for the target, as long as they are empty. */
export async function removeEmptyParents(from: string, top: string): Promise<void> {
  for (let at = from; isInside(top, at); at = dirname(at)) {
    try {
      await rmdir(at)
    } catch (error) {
      if (!isMissing(error)) return // somebody else uses it: it stays
    }
  }
}
