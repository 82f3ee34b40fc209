import { AppError, noRoom } from '../../../core/errors.ts'
import type { Clock } from '../../../platform/clock.ts'
import { systemCodeOf } from '../../../platform/files.ts'
import type { Pool, PoolDirectory } from '../../../pools/pool.ts'
import type {
  AssertAllowedPath,
  Engine,
  EngineContext,
  EngineResult,
  EngineTask,
} from '../../engine.ts'
import { COMPRESSIONS } from '../format/manifest.ts'
import { ArchiveRun, type ArchiveRunInput, syncFile } from './archive-run.ts'
import {
  type ArchivingCheckpoint,
  type BackupCheckpoint,
  type PublishingCheckpoint,
  parseBackupCheckpoint,
} from './backup-checkpoint.ts'
import {
  type BackupPlan,
  explainRoot,
  objectKeys,
  parseBackupWish,
  planBackup,
  stagedNames,
  stemOf,
} from './backup-plan.ts'
import { isPublished, publishArchive, toResult } from './backup-publish.ts'
import { copyStaged, planResume, type Resume, type StagedPaths } from './resume.ts'
import { ABORTED, createControl, Ring } from './ring.ts'
import type { TreeSize } from './scan-stage.ts'
import { StageError, type Threads } from './threads.ts'
import {
  fateOf,
  readXattrs,
  type TreeXattrs,
  type XattrFate,
  type XattrMap,
} from './xattr-source.ts'

/** A pause, a crash or a shutdown costs at most about this much of the work. */
const CHECKPOINT_INTERVAL_MS = 2_000
const SCAN_REPORT_INTERVAL_MS = 100
/** Nobody knows how far a tree shrinks: less room than this share of it is refused at once. */
const PACKED_SHARE_MIN = 0.25
const DEFAULT_POOL = 'local'

export interface BackupDirectoryOptions {
  readonly pools: PoolDirectory
  readonly threads: Threads
  readonly clock: Clock
  /** Folders that are never backed up: the data folder, and those of pools. */
  readonly forbiddenRoots: () => Promise<readonly string[]>
  /** Throws where the account that asks may not use a folder (its real path). Left out, everybody may use all. */
  readonly assertAllowedPath?: AssertAllowedPath
  readonly checkpointIntervalMs?: number
  /** Told when an archive is whole, before it is put on the disk and published: for measuring. */
  readonly onArchived?: (monotonicMs: number) => void
}

interface Work {
  readonly task: EngineTask
  readonly context: EngineContext
  readonly pool: Pool
  readonly plan: BackupPlan
}

const toLatin1 = (path: string): string => Buffer.from(path).toString('latin1')

async function pathsOf(pool: Pool, stem: string): Promise<StagedPaths> {
  const names = stagedNames(stem)
  return { archive: await pool.stage(names.archive), manifest: await pool.stage(names.manifest) }
}

function warnOfLostXattrs({ lost, lostMore }: TreeXattrs, context: EngineContext): void {
  const code = 'xattr_lost'
  for (const item of lost) {
    context.warn({ code, message: `${item} has extended attributes that could not be kept`, item })
  }
  for (let index = 0; index < lostMore; index += 1) {
    context.warn({ code, message: 'one more like those before', item: null })
  }
}

/** What is not yet read may turn out to shrink by nothing. */
const roomForRest = (tarBytes: number, bytesDone: number): number =>
  Math.max(1, tarBytes - bytesDone)

async function outOfRoom(pool: Pool, neededBytes: number, cause: unknown): Promise<AppError> {
  const { message, details } = noRoom(neededBytes, (await pool.freeBytes()) ?? 0)
  return new AppError('no_room', message, details, cause)
}

/** The engine `backup:directory`: one archive and its manifest of one folder. */
export class BackupDirectory implements Engine {
  readonly #options: BackupDirectoryOptions

  constructor(options: BackupDirectoryOptions) {
    this.#options = options
  }

  subjects(task: EngineTask): readonly string[] {
    return [`source:${parseBackupWish(task).sourceId}`]
  }

  async check(task: EngineTask): Promise<void> {
    await this.#plan(task)
    await this.#poolOf(task)
  }

  async run(task: EngineTask, context: EngineContext): Promise<EngineResult> {
    context.signal.throwIfAborted()
    const plan = await this.#plan(task)
    const pool = await this.#poolOf(task)
    const earlier = parseBackupCheckpoint(context.checkpoint, plan.fingerprint)
    // What an earlier run left may turn out to be of no use: then it is made anew.
    const published =
      (await this.#goOn({ task, context, pool, plan }, earlier)) ??
      (await this.#make({ task, context, pool, plan }, null))
    if (published === null) throw new Error('a new archive cannot be found damaged')
    if (context.predecessorEnded) await this.#removeStaged(pool, task)
    return toResult(pool.id, plan.compression, published)
  }

  async discard(task: EngineTask): Promise<void> {
    const pool = await this.#poolOf(task)
    await this.#removeStaged(pool, task)
    const sourceId = task.source?.id
    if (sourceId === undefined) return
    for (let attempt = 1; attempt <= task.attempt; attempt += 1) {
      for (const compression of COMPRESSIONS) {
        const keys = objectKeys(sourceId, stemOf(task.operationId, attempt), compression)
        await pool.remove(keys.archive)
        await pool.remove(keys.manifest)
      }
    }
  }

  /** Allowed or not is asked anew for each run: the path may lead elsewhere by now. */
  async #plan(task: EngineTask): Promise<BackupPlan> {
    const wish = parseBackupWish(task)
    const plan = await planBackup(wish, await this.#options.forbiddenRoots())
    await this.#options.assertAllowedPath?.(task, plan.root, wish.path)
    return plan
  }

  async #poolOf(task: EngineTask): Promise<Pool> {
    return this.#options.pools.open(task.poolId ?? DEFAULT_POOL)
  }

  async #removeStaged(pool: Pool, task: EngineTask): Promise<void> {
    for (let attempt = 1; attempt <= task.attempt; attempt += 1) {
      const names = stagedNames(stemOf(task.operationId, attempt))
      await pool.discard(names.archive)
      await pool.discard(names.manifest)
    }
  }

  #goOn(work: Work, earlier: BackupCheckpoint | null): Promise<PublishingCheckpoint | null> {
    if (earlier?.phase === 'publishing') return this.#finishEarlier(work, earlier)
    return earlier === null ? Promise.resolve(null) : this.#make(work, earlier)
  }

  /** A run before this one had both files whole. Answers `null` where they are not to be had. */
  async #finishEarlier(
    { pool, context }: Work,
    earlier: PublishingCheckpoint,
  ): Promise<PublishingCheckpoint | null> {
    // Whoever may still be at work publishes under his own names: only what is there is ours to use.
    if (!(await isPublished(pool, earlier)) && !context.predecessorEnded) return null
    try {
      await publishArchive(pool, earlier, context)
    } catch (error) {
      if (error instanceof AppError && error.code === 'not_found') return null
      throw error
    }
    context.resumedFrom(earlier.made.contentBytes)
    return earlier
  }

  /** Answers `null` where `earlier` cannot be gone on with. */
  async #make(
    work: Work,
    earlier: ArchivingCheckpoint | null,
  ): Promise<PublishingCheckpoint | null> {
    const { task, context, pool, plan } = work
    const { size, xattrs, xattrFate } = await this.#look(plan, context, earlier)
    const share = plan.compression === 'none' ? 1 : PACKED_SHARE_MIN
    const kept = earlier?.archive.archiveBytes ?? 0
    const inPlace = earlier !== null && context.predecessorEnded
    const neededBytes = Math.max(0, Math.ceil(size.tarBytes * share) - (inPlace ? kept : 0))
    await pool.assertRoom(neededBytes)
    const own = stemOf(task.operationId, task.attempt)
    const stem = inPlace ? earlier.stem : own
    const paths = await pathsOf(pool, stem)
    let resume: Resume | null = null
    if (earlier !== null) {
      if (!inPlace && !(await copyStaged(await pathsOf(pool, earlier.stem), paths, earlier))) {
        return null
      }
      resume = await planResume(earlier, paths, toLatin1(plan.root))
      if (resume === null) return null
    }
    const createdAtMs = earlier?.createdAtMs ?? this.#options.clock.nowMs()
    const run = { plan, size, stem, paths, createdAtMs, resume, xattrs }
    const made = await this.#archive(work, run)
    if (made === null) return null
    this.#options.onArchived?.(this.#options.clock.monotonicMs())
    await Promise.all([syncFile(paths.archive), syncFile(paths.manifest)])
    const publishing: PublishingCheckpoint = {
      phase: 'publishing',
      fingerprint: plan.fingerprint,
      stem,
      createdAtMs,
      size,
      keys: objectKeys(plan.sourceId, own, plan.compression),
      xattrs: xattrFate,
      ...made,
    }
    await publishArchive(pool, publishing, context)
    return publishing
  }

  async #archive(
    { context, pool, plan }: Work,
    staged: Omit<ArchiveRunInput, 'checkpointIntervalMs' | 'monotonicMs' | 'assertRoom'>,
  ): Promise<Pick<PublishingCheckpoint, 'made' | 'itemsDone'> | null> {
    const { threads, clock, checkpointIntervalMs = CHECKPOINT_INTERVAL_MS } = this.#options
    const monotonicMs = () => clock.monotonicMs()
    const assertRoom = async (bytesDone: number): Promise<void> => {
      // What is left of the reserve is for the records: without it not even the end could be written.
      if ((await pool.freeBytes()) === 0) throw noRoom(roomForRest(size.tarBytes, bytesDone), 0)
    }
    const { size } = staged
    const input = { ...staged, checkpointIntervalMs, monotonicMs, assertRoom }
    const run = new ArchiveRun(input, context, threads)
    try {
      const made = await run.run()
      return { made, itemsDone: run.itemsDone }
    } catch (error) {
      const neededBytes = roomForRest(size.tarBytes, run.bytesDone)
      // The records lie on that disk, too, and were the first to meet its end.
      const isForRecords = error instanceof AppError && error.code === 'no_room'
      if (isForRecords && (await pool.freeBytes()) === 0) {
        throw await outOfRoom(pool, neededBytes, error)
      }
      if (!(error instanceof StageError)) throw error
      const { name, errno } = error.failure
      if (name === 'StagedDamaged') return null
      if (errno === 'ENOSPC' || errno === 'EDQUOT') {
        throw await outOfRoom(pool, neededBytes, error)
      }
      if (error.stage === 'read' && errno !== null) throw explainRoot(error, errno, plan.path)
      throw error
    }
  }

  /** Sizes the tree, where that was not done, and asks for its extended attributes meanwhile. */
  async #look(
    plan: BackupPlan,
    context: EngineContext,
    earlier: ArchivingCheckpoint | null,
  ): Promise<{ size: TreeSize; xattrs: XattrMap; xattrFate: XattrFate }> {
    const ended = new AbortController()
    const signal = AbortSignal.any([context.signal, ended.signal])
    const looking = readXattrs({ path: toLatin1(plan.root), id: plan.rootId }, signal)
    looking.catch(() => {
      // It is awaited below, unless sizing fails first.
    })
    try {
      const size = earlier?.size ?? (await this.#scan(plan, context))
      const found = await looking.catch((error: unknown) => {
        const errno = systemCodeOf(error)
        throw errno === null ? error : explainRoot(error, errno, plan.path)
      })
      // An earlier run has said what is lost.
      if (earlier === null) warnOfLostXattrs(found, context)
      return { size, xattrs: found.values, xattrFate: fateOf(found) }
    } finally {
      ended.abort()
    }
  }

  async #scan(plan: BackupPlan, context: EngineContext): Promise<TreeSize> {
    const memory = createControl()
    const ring = new Ring(memory)
    const root = toLatin1(plan.root)
    const report = (bytesTotal: number | null, itemsTotal: number | null): void =>
      context.report({
        phase: 'scanning',
        bytesDone: 0,
        bytesTotal,
        itemsDone: 0,
        itemsTotal,
        currentItem: null,
      })
    const onAbort = (): void => ring.stop(ABORTED)
    context.signal.addEventListener('abort', onAbort, { once: true })
    report(null, null)
    const timer = setInterval(() => report(ring.bytesDone, ring.itemsDone), SCAN_REPORT_INTERVAL_MS)
    try {
      const { rootId, ignore, never } = plan
      const input = { ring: memory, root, rootId, ignore, never }
      const size = await this.#options.threads.run('scan', input, context.signal)
      report(size.contentBytes, size.itemCount)
      return size
    } catch (error) {
      context.signal.throwIfAborted()
      const errno = error instanceof StageError ? error.failure.errno : null
      if (errno !== null) throw explainRoot(error, errno, plan.path)
      throw error
    } finally {
      clearInterval(timer)
      context.signal.removeEventListener('abort', onAbort)
    }
  }
}
