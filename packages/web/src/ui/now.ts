import { useSyncExternalStore } from 'react'

/** One clock for the whole page, so that no two lines disagree about the present. */
const listeners = new Set<() => void>()
let timer: ReturnType<typeof setInterval> | null = null
let nowMs = Date.now()

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  timer ??= setInterval(() => {
    nowMs = Date.now()
    for (const told of listeners) told()
  }, 1000)
  return () => {
    listeners.delete(listener)
    if (listeners.size > 0 || timer === null) return
    clearInterval(timer)
    timer = null
  }
}

/** The present; the caller renders again as it passes, once a second. */
export const useNow = (): number =>
  useSyncExternalStore(subscribe, () => (timer === null ? currentSecond() : nowMs))

/** While nobody ticks the snapshot must still be stable between two reads. */
function currentSecond(): number {
  if (Date.now() - nowMs > 1000) nowMs = Date.now()
  return nowMs
}
