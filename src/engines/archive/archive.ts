import type { Clock } from '../../platform/clock.ts'
import type { PoolDirectory } from '../../pools/pool.ts'
import type { Engine, SnapshotReader } from '../engine.ts'
import { BackupDirectory } from './create/backup.ts'
import { Threads } from './create/threads.ts'
import { ReadPool } from './read/read-pool.ts'
import { RestoreArchive } from './read/restore.ts'
import { ArchiveReader } from './read/snapshot-reader.ts'
import { VerifyArchive } from './read/verify.ts'

export interface ArchiveOptions {
  readonly pools: PoolDirectory
  readonly clock: Clock
  /** What is never backed up or restored into: the data folder. */
  readonly forbiddenRoots: readonly string[]
  /** Where indexes for browsing are kept; they can be made again at any time. */
  readonly cacheFolder: string
}

/** Everything that can be done with archives; the three engines share their threads. */
export interface Archive {
  readonly backup: Engine
  readonly restore: Engine
  readonly verify: Engine
  readonly reader: SnapshotReader
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
    close: async () => {
      await reader.close()
      await Promise.all([writing.close(), reading.close()])
    },
  }
}
