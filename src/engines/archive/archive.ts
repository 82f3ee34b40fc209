import type { Clock } from '../../platform/clock.ts'
import type { PoolDirectory } from '../../pools/pool.ts'
import type { Engine, SnapshotReader } from '../engine.ts'
import { BackupDirectory } from './backup.ts'
import { ReadPool } from './read-pool.ts'
import { RestoreArchive } from './restore.ts'
import { ArchiveReader } from './snapshot-reader.ts'
import { Threads } from './threads.ts'
import { VerifyArchive } from './verify.ts'

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
  return {
    backup: new BackupDirectory({ ...options, threads: writing }),
    restore: new RestoreArchive({ ...options, threads: reading }),
    verify: new VerifyArchive({ ...options, threads: reading }),
    reader: new ArchiveReader({ ...options, threads: reading }),
    close: async () => {
      await Promise.all([writing.close(), reading.close()])
    },
  }
}
