import { randomBytes } from 'node:crypto'
import { uuidV7 } from '../core/ids.ts'
import type { Clock } from './clock.ts'

export interface Ids {
  /** A UUID of version 7 that sorts after every one made before it here. */
  newId(): string
}

const COUNTER_MAX = 0xfff

const RANDOM_BYTES = 10
/** A call for random bytes costs the same for many ids as for one. */
const IDS_PER_CALL = 256

/**
 * Ids rise within a process, whatever the clock does: while it stands still or
 * was set back, the last time is used on, with the 12 bits behind it as a
 * counter (RFC 9562, section 6.2, method 1).
 */
export function createIds(clock: Pick<Clock, 'nowMs'>): Ids {
  let lastMs = 0
  let counter = 0
  let pool = Buffer.alloc(0)
  let used = 0
  const takeRandom = (): Buffer => {
    if (used === pool.length) {
      pool = randomBytes(RANDOM_BYTES * IDS_PER_CALL)
      used = 0
    }
    used += RANDOM_BYTES
    return pool.subarray(used - RANDOM_BYTES, used)
  }
  return {
    newId() {
      const random = takeRandom()
      const nowMs = clock.nowMs()
      if (nowMs > lastMs) {
        lastMs = nowMs
        // Begins in the lower half, so that a burst has at least 2,048 ids before it borrows a millisecond.
        counter = random.readUInt16BE(0) & (COUNTER_MAX >> 1)
      } else if (counter < COUNTER_MAX) counter += 1
      else {
        lastMs += 1
        counter = 0
      }
      random.writeUInt16BE(counter, 0)
      return uuidV7(lastMs, random)
    },
  }
}
