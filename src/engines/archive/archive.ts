import type { Clock } from '../../platform/clock.ts'
import type { PoolDirectory } from '../../pools/pool.ts'
import type { AssertAllowedPath, Engine, SnapshotReader } from '../engine.ts'
import { BackupDirectory } from './create/backup.ts'
import { type StagedSweepOptions, sweepStaged } from './create/staged-sweep.ts'
import { Threads } from './create/threads.ts'
import { ReadPool } from './read/read-pool.ts'
import { RestoreArchive } from './read/restore.ts'
import { ArchiveReader } from './read/snapshot-reader.ts'
import { VerifyArchive } from './read/verify.ts'

export interface ArchiveOptions {
  readonly pools: PoolDirectory
  readonly clock: Clock
  /** What is never backed up, restored into or looked at: the data folder, and the pools that there are now. */
  readonly forbiddenRoots: () => Promise<readonly string[]>
  /** Throws where the account that asks may not use a folder (its real path). Left out, everybody may use all. */
  readonly assertAllowedPath?: AssertAllowedPath
  /** Where indexes for browsing are kept; they can be made again at any time. */
  readonly cacheFolder: string
}

/** Everything that can be done with archives; the three engines share their threads. */
export interface Archive {
  readonly backup: Engine
  readonly restore: Engine
  readonly verify: Engine
  readonly reader: SnapshotReader
  /** Removes what ended backups have left staged in a pool; answers how many files that were. */
  sweep(poolId: string, options: StagedSweepOptions): Promise<number>
  close(): Promise<void>
}

export function createArchive(options: ArchiveOptions): Archive {
  const writing = new Threads()
  const reading = new ReadPool()
  const reader = new ArchiveReader({ ...options, threads: reading })
  return {
    backup: new BackupDirectory({ ...options, threads: writing }),
    restore: new RestoreArchive({ ...options, threads: reading }),
    verify: new VerifyArchive({ ...options, threads: reading }),
    reader,
    sweep: async (poolId, sweep) => sweepStaged(await options.pools.open(poolId), sweep),
    close: async () => {
      await reader.close()
      await Promise.all([writing.close(), reading.close()])
    },
  }
}
