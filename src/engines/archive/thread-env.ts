import { getCompileCacheDir } from 'node:module'
import { dirname } from 'node:path'

/**
 * The environment of a thread, which needs nothing of that of the process. A
 * thread does not take over the compile cache of the process by itself, and
 * without one each of them strips its modules of their types again: a start
 * took 90 ms of CPU and 21 MB, and takes 30 ms and 12 MB with it.
 */
export function threadEnv(): Readonly<Record<string, string>> {
  const cache = getCompileCacheDir()
  // Node names a folder of its version in it by itself.
  return cache === undefined ? {} : { NODE_COMPILE_CACHE: dirname(cache) }
}
