import { AppError } from '../../../core/errors.ts'
import type { JsonObject } from '../../../core/json.ts'
import type { Snapshot } from '../../../core/snapshot.ts'
import type { LocalCopy, Pool, PoolDirectory } from '../../../pools/pool.ts'
import type { Engine, EngineContext, EngineResult, EngineTask } from '../../engine.ts'
import {
  type ArchiveDetails,
  entryCountMax,
  manifestBounds,
  parseDetails,
} from '../format/archive-place.ts'
import { snapshotOf } from '../format/snapshot-of.ts'
import {
  type ComparedFolder,
  type CompareWish,
  inspectFolder,
  parseCompareInput,
} from './compare-input.ts'
import { type CompareOptions, CompareRun, manifestMissing } from './compare-run.ts'
import { assertHeldPlace } from './held-place.ts'
import type { ReadPool } from './read-pool.ts'
import type { ArchivePlan } from './restore-plan.ts'
import { SharedProgress } from './shared-progress.ts'
import { realTargetPath } from './target.ts'
import { DAMAGES_KEPT_MAX, type Damage, type VerifyScan } from './verify-scan.ts'

export interface VerifyArchiveOptions extends CompareOptions {
  readonly pools: PoolDirectory
  readonly threads: ReadPool
  readonly progressIntervalMs?: number
}

const PROGRESS_INTERVAL_MS = 100

const NOTHING: VerifyScan = { checkedFiles: 0, checkedBytes: 0, damageCount: 0, damages: [] }

/**
 * Reads a whole archive again and compares it with its manifest and its record;
 * or, where a target is named, compares that folder with the snapshot. A damage
 * is what it is there to find: it is told in the result, and no failure.
 */
export class VerifyArchive implements Engine {
  readonly #options: VerifyArchiveOptions

  constructor(options: VerifyArchiveOptions) {
    this.#options = options
  }

  subjects(task: EngineTask): readonly string[] {
    const wish = parseCompareInput(task)
    // A folder that is being restored into can be compared with nothing.
    if (wish !== null) return [`path:${realTargetPath(wish.targetPath)}`]
    return task.snapshot === null ? [] : [`verify:${task.snapshot.id}`]
  }

  async check(task: EngineTask): Promise<void> {
    const snapshot = snapshotOf(task)
    const { manifestKey } = parseDetails(snapshot)
    const wish = parseCompareInput(task)
    if (wish === null) return
    await this.#look(task, wish)
    const pool = await this.#options.pools.open(snapshot.poolId)
    if ((await pool.stat(manifestKey)) === null) throw manifestMissing(snapshot)
  }

  async run(task: EngineTask, context: EngineContext): Promise<EngineResult> {
    context.signal.throwIfAborted()
    const snapshot = snapshotOf(task)
    const pool = await this.#options.pools.open(snapshot.poolId)
    const wish = parseCompareInput(task)
    if (wish === null) return new VerifyRun(snapshot, pool, context, this.#options).run()
    const folder = await this.#look(task, wish)
    return new CompareRun(snapshot, wish, context, this.#options).run(pool, folder)
  }

  async discard(): Promise<void> {
    // A verify leaves nothing behind.
  }

  async #look(task: EngineTask, wish: CompareWish): Promise<ComparedFolder> {
    const { forbiddenRoots, assertAllowedPath } = this.#options
    const folder = await inspectFolder(wish, await forbiddenRoots())
    const realPath = Buffer.from(folder.root.path, 'latin1').toString()
    await assertHeldPlace(task, { realPath, given: wish.targetPath }, assertAllowedPath)
    return folder
  }
}

class VerifyRun {
  readonly #snapshot: Snapshot
  readonly #details: ArchiveDetails
  readonly #pool: Pool
  readonly #context: EngineContext
  readonly #options: VerifyArchiveOptions
  readonly #damages: Damage[] = []
  #copies: LocalCopy[] = []

  constructor(
    snapshot: Snapshot,
    pool: Pool,
    context: EngineContext,
    options: VerifyArchiveOptions,
  ) {
    this.#snapshot = snapshot
    this.#details = parseDetails(snapshot)
    this.#pool = pool
    this.#context = context
    this.#options = options
  }

  async run(): Promise<EngineResult> {
    this.#report(new SharedProgress(), null)
    try {
      const archivePath = await this.#copy(this.#snapshot.key, 'the archive')
      const manifestPath = await this.#copy(this.#details.manifestKey, 'the manifest')
      if (archivePath === null) return this.#result(NOTHING)
      const plan = manifestPath === null ? null : await this.#plan(manifestPath)
      return this.#result(await this.#scan(archivePath, plan === null ? null : manifestPath, plan))
    } finally {
      for (const copy of this.#copies) await copy.release()
    }
  }

  /** `null`, and a damage, where the pool has none. */
  async #copy(key: string, name: string): Promise<string | null> {
    if ((await this.#pool.stat(key)) === null) {
      this.#damages.push({ path: null, what: `${name} is missing from the pool` })
      return null
    }
    const copy = await this.#pool.localCopy(key, { signal: this.#context.signal })
    this.#copies.push(copy)
    return copy.path
  }

  async #plan(manifestPath: string): Promise<ArchivePlan | null> {
    const job = {
      kind: 'plan',
      manifestPath,
      bounds: manifestBounds(this.#snapshot),
      place: null,
      entryCountMax: 0,
      patterns: null,
    } as const
    let plan: ArchivePlan
    try {
      plan = await this.#options.threads.run<'plan'>(job, this.#context.signal)
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'damaged') throw error
      this.#damages.push({ path: null, what: error.message })
      return null
    }
    const { start, end } = plan
    if (end?.sha256 !== this.#snapshot.sha256 || start?.compression !== this.#details.compression) {
      this.#damages.push({ path: null, what: 'the manifest belongs to another archive' })
    }
    return plan
  }

  async #scan(
    archivePath: string,
    manifestPath: string | null,
    plan: ArchivePlan | null,
  ): Promise<VerifyScan> {
    const { signal } = this.#context
    const { compression, tarBytes } = this.#details
    const progress = new SharedProgress()
    const tell = () => this.#report(progress, plan?.itemCount ?? null)
    const telling = setInterval(tell, this.#options.progressIntervalMs ?? PROGRESS_INTERVAL_MS)
    const failed = new AbortController()
    const either = AbortSignal.any([signal, failed.signal])
    const tarBytesMax = plan?.end?.tarBytes ?? tarBytes
    const frames = plan?.frames ?? null
    try {
      const both = [
        this.#options.threads.run<'hash'>({ kind: 'hash', path: archivePath }, either),
        this.#options.threads.run<'verify'>(
          {
            kind: 'verify',
            place: { archivePath, compression, frames, tarBytesMax },
            entryCountMax: plan?.end?.entryCount ?? entryCountMax(tarBytes),
            manifestPath,
          },
          either,
          progress,
        ),
      ] as const
      for (const job of both) job.catch((error) => failed.abort(error))
      await Promise.allSettled(both)
      signal.throwIfAborted()
      failed.signal.throwIfAborted()
      const [hashed, scan] = await Promise.all(both)
      this.#compareWhole(hashed.bytes, hashed.sha256)
      return scan
    } finally {
      clearInterval(telling)
      tell()
    }
  }

  #compareWhole(bytes: number, sha256: string): void {
    if (bytes !== this.#snapshot.bytes) {
      const what = `the archive has ${bytes} bytes, not the ${this.#snapshot.bytes} that were written`
      this.#damages.push({ path: null, what })
    } else if (sha256 !== this.#snapshot.sha256) {
      this.#damages.push({ path: null, what: 'the archive has another SHA-256 than was written' })
    }
  }

  #result(scan: VerifyScan): EngineResult {
    const damages = [...this.#damages, ...scan.damages].slice(0, DAMAGES_KEPT_MAX)
    const damageCount = this.#damages.length + scan.damageCount
    for (const { path, what } of damages) {
      this.#context.warn({ code: 'damaged', message: what, item: path })
    }
    const result: JsonObject = {
      checkedFiles: scan.checkedFiles,
      checkedBytes: scan.checkedBytes,
      damageCount,
      damages: damages.map(({ path, what }) => ({ path, what })),
    }
    return { result, verifiedWell: damageCount === 0 }
  }

  #report(progress: SharedProgress, itemsTotal: number | null): void {
    this.#context.report({
      phase: 'verifying',
      bytesDone: progress.get('bytesDone'),
      bytesTotal: this.#details.tarBytes,
      itemsDone: progress.get('itemsDone'),
      itemsTotal,
      currentItem: progress.item,
    })
  }
}
