/** Waits; rejects with the signal's reason when it aborts. */
export function delay(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason)
      return
    }
    const onAbort = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }, ms)
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/**
 * How long to wait before try `count` (from 1): it doubles up to a maximum. Half
 * of it is left to chance, so that many clients do not come back at once.
 */
export function backoffMs(
  count: number,
  limits: { readonly firstMs: number; readonly maxMs: number },
  random: number = Math.random(),
): number {
  const full = Math.min(limits.maxMs, limits.firstMs * 2 ** Math.min(count - 1, 30))
  return Math.round(full / 2 + (full / 2) * random)
}
