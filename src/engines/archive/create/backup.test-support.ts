import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { JsonObject } from '../../../core/json.ts'
import type { Warning } from '../../../core/outcome.ts'
import type { ProgressReport } from '../../../core/progress.ts'
import { systemClock } from '../../../platform/clock.ts'
import { LocalPool } from '../../../pools/local.ts'
import { type EngineContext, type EngineTask, StopRequest } from '../../engine.ts'
import { BackupDirectory, type BackupDirectoryOptions } from './backup.ts'
import type { Threads } from './threads.ts'

/** A folder to protect, a pool, and the engine over them, all in a temporary folder. */
export interface BackupWorld {
  readonly folder: string
  readonly tree: string
  readonly poolRoot: string
  readonly pool: LocalPool
  readonly engine: BackupDirectory
  task(input?: JsonObject, attempt?: number): EngineTask
  close(): void
}

export const OPERATION_ID = '0193f000-0000-7000-8000-00000000000a'
export const SOURCE_ID = 'source-1'

export function createWorld(
  threads: Threads,
  options: Partial<BackupDirectoryOptions> & { readonly folder?: string; poolRoot?: string } = {},
): BackupWorld {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'holdfast-backup-'))
  const tree = join(folder, 'tree')
  const poolRoot = options.poolRoot ?? join(folder, 'pool')
  mkdirSync(tree, { recursive: true })
  const pool = new LocalPool({ id: 'local', root: poolRoot, reserveBytes: 0 })
  const engine = new BackupDirectory({
    pools: { open: async () => pool },
    threads,
    clock: systemClock,
    forbiddenRoots: async () => [join(folder, 'data')],
    ...options,
  })
  return {
    folder,
    tree,
    poolRoot,
    pool,
    engine,
    task: (input = { compression: 'none' }, attempt = 1) => ({
      operationId: OPERATION_ID,
      accountId: 'someone',
      kind: 'backup',
      input,
      source: {
        id: SOURCE_ID,
        accountId: 'someone',
        kind: 'directory',
        name: 'tree',
        deviceId: null,
        config: { path: tree },
        createdAtMs: 0,
      },
      snapshot: null,
      poolId: 'local',
      attempt,
    }),
    close: () => rmSync(folder, { recursive: true, force: true }),
  }
}

/** What one run was given and what it said. */
export interface RecordedRun {
  readonly context: EngineContext
  readonly reports: ProgressReport[]
  readonly warnings: Warning[]
  readonly checkpoints: JsonObject[]
  readonly resumed: number[]
  stop(why: StopRequest['why']): void
}

export function recordRun(
  options: {
    readonly checkpoint?: JsonObject | null
    readonly predecessorEnded?: boolean
    readonly onReport?: (report: ProgressReport, run: RecordedRun) => void
    readonly onCheckpoint?: (checkpoint: JsonObject, run: RecordedRun) => void
    readonly onResumed?: (bytesNotRedone: number) => void
  } = {},
): RecordedRun {
  const stopper = new AbortController()
  const run: RecordedRun = {
    reports: [],
    warnings: [],
    checkpoints: [],
    resumed: [],
    stop: (why) => stopper.abort(new StopRequest(why)),
    context: {
      signal: stopper.signal,
      checkpoint: options.checkpoint ?? null,
      predecessorEnded: options.predecessorEnded ?? true,
      report: (report) => {
        run.reports.push(report)
        options.onReport?.(report, run)
      },
      warn: (warning) => void run.warnings.push(warning),
      saveCheckpoint: async (checkpoint) => {
        run.checkpoints.push(checkpoint)
        options.onCheckpoint?.(checkpoint, run)
      },
      resumedFrom: (bytes) => {
        run.resumed.push(bytes)
        options.onResumed?.(bytes)
      },
      assertCurrent: async () => undefined,
    },
  }
  return run
}
