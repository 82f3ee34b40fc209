import { createHash } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import type { SharedProgress } from './shared-progress.ts'

export interface HashJob {
  readonly kind: 'hash'
  readonly path: string
}

export interface HashResult {
  readonly bytes: number
  readonly sha256: string
}

const WINDOW_BYTES = 1024 * 1024

/** Size and SHA-256 of a whole file. */
export function hashArchive(job: HashJob, progress: SharedProgress): HashResult {
  const file = openSync(job.path, 'r')
  try {
    const window = Buffer.allocUnsafeSlow(WINDOW_BYTES)
    const hash = createHash('sha256')
    let bytes = 0
    for (;;) {
      progress.throwIfStopped()
      const count = readSync(file, window, 0, WINDOW_BYTES, bytes)
      if (count === 0) return { bytes, sha256: hash.digest('hex') }
      hash.update(window.subarray(0, count))
      bytes += count
      progress.set('bytesDone', bytes)
    }
  } finally {
    closeSync(file)
  }
}
