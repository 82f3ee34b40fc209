import { setTimeout as sleep } from 'node:timers/promises'
import type { Worker } from 'node:worker_threads'

/** A thread that was told to stop has this long to do so by itself. */
export const STOP_GRACE_MS = 3_000

/** A thread inside a file call that does not return cannot be ended: nobody waits longer than this for one. */
const END_MAX_MS = 1_000

/** Ends a thread, whatever it does: when this resolves, none of its code runs any more. */
export async function endThread(thread: Worker): Promise<void> {
  const waited = new AbortController()
  const ended = thread.terminate().catch(() => {
    // It has ended by itself.
  })
  const tooLong = sleep(END_MAX_MS, undefined, { signal: waited.signal }).catch(() => undefined)
  await Promise.race([ended, tooLong])
  waited.abort()
}

export interface StopWatch {
  /** Call it when the job has settled. */
  clear(): void
}

/** Ends a thread that has not settled `graceMs` after it was told to stop, and says so. */
export function endWhenDeaf(
  thread: Worker,
  signal: AbortSignal,
  graceMs: number,
  onEnded: (reason: unknown) => void,
): StopWatch {
  let timer: NodeJS.Timeout | null = null
  let settled = false
  const end = async (): Promise<void> => {
    await endThread(thread)
    if (!settled) onEnded(signal.reason)
  }
  const onAbort = (): void => {
    timer = setTimeout(() => void end(), graceMs)
  }
  if (signal.aborted) onAbort()
  else signal.addEventListener('abort', onAbort, { once: true })
  return {
    clear: () => {
      settled = true
      signal.removeEventListener('abort', onAbort)
      if (timer !== null) clearTimeout(timer)
    },
  }
}
