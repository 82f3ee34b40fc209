import type { Pool } from '../../../pools/pool.ts'
import { operationOfStaged } from './backup-plan.ts'

export interface StagedSweepOptions {
  /** Whether the operation is on record and has ended for good. What nobody has on record is left alone. */
  readonly isOver: (operationId: string) => Promise<boolean>
  /**
   * Nobody writes to what has not changed since then. `null` where no run of an
   * earlier process can still be at work: then everything may go.
   */
  readonly unchangedSinceMs: number | null
}

/**
 * Removes what ended operations have left staged. A run that may still have
 * been at work when a later one took over keeps its files, and nobody else
 * comes back for them. Answers how many there were.
 */
export async function sweepStaged(
  pool: Pool,
  { isOver, unchangedSinceMs }: StagedSweepOptions,
): Promise<number> {
  let count = 0
  for await (const { name, modifiedAtMs } of pool.staged()) {
    if (unchangedSinceMs !== null && modifiedAtMs > unchangedSinceMs) continue
    const operationId = operationOfStaged(name)
    if (operationId === null || !(await isOver(operationId))) continue
    await pool.discard(name)
    count += 1
  }
  return count
}
