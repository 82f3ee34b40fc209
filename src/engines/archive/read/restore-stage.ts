import { dirname } from 'node:path'
import { AppError, noRoom } from '../../../core/errors.ts'
import type { Snapshot } from '../../../core/snapshot.ts'
import { freeBytesOf } from '../../../platform/files.ts'
import type { PoolDirectory } from '../../../pools/pool.ts'
import type { AssertAllowedPath, EngineContext } from '../../engine.ts'
import {
  type ArchiveCopies,
  type ArchiveDetails,
  entryCountMax,
  manifestBounds,
  openArchive,
  parseDetails,
  snapshotDamaged,
} from '../format/archive-place.ts'
import type { ManifestBounds } from '../format/manifest-file.ts'
import type { TarPlace } from '../format/tar-bytes.ts'
import type { HashResult } from './archive-hash.ts'
import type { ExtractJob, ExtractResult } from './extract.ts'
import { type ProveResult, sameLargeHashes } from './prove.ts'
import type { ReadPool } from './read-pool.ts'
import { type Ground, type RestoreCheckpoint, toJson } from './restore-checkpoint.ts'
import type { RestoreWish } from './restore-input.ts'
import type { ArchivePlan, WantedTotals } from './restore-plan.ts'
import { SharedProgress } from './shared-progress.ts'
import { newRoot, type SwapStep } from './swap.ts'

const CHECKPOINT_INTERVAL_MS = 2_000
const PROGRESS_INTERVAL_MS = 100

export interface RestoreArchiveOptions {
  readonly pools: PoolDirectory
  readonly threads: ReadPool
  /** Nothing is ever restored into these, or over a directory that holds one. */
  readonly forbiddenRoots: () => Promise<readonly string[]>
  /** Throws where the account that asks may not use a folder (its real path). Left out, everybody may use all. */
  readonly assertAllowedPath?: AssertAllowedPath
  /** How often a checkpoint is saved and progress told. */
  readonly checkpointIntervalMs?: number
  readonly progressIntervalMs?: number
  /** Told before each step of the swap, so that a test can end the process there. */
  readonly onSwapStep?: SwapStep
}

/** What a plan has found out: never more than this is read or made. */
interface Totals {
  /** `null` where the manifest is read beside the work. */
  readonly plan: ArchivePlan | null
  readonly manifestPath: string | null
  readonly tarBytes: number
  readonly entryCountMax: number
  readonly itemCount: number | null
  readonly contentBytes: number
}

export interface Staged {
  readonly extracted: ExtractResult
  readonly matchedManifest: boolean
}

export interface StageOptions {
  readonly snapshot: Snapshot
  readonly wish: RestoreWish
  readonly context: EngineContext
  readonly engine: RestoreArchiveOptions
  readonly bootId: string
}

/** Proves a whole archive and extracts what is wanted of it, in one pass and away from the target. */
export class RestoreStage {
  readonly #snapshot: Snapshot
  readonly #details: ArchiveDetails
  readonly #bounds: ManifestBounds
  readonly #context: EngineContext
  readonly #options: RestoreArchiveOptions
  readonly #wish: RestoreWish
  readonly #bootId: string
  #itemsTotal: number | null = null
  #matchedManifest = false

  constructor(options: StageOptions) {
    this.#snapshot = options.snapshot
    this.#details = parseDetails(options.snapshot)
    this.#bounds = manifestBounds(options.snapshot)
    this.#context = options.context
    this.#options = options.engine
    this.#wish = options.wish
    this.#bootId = options.bootId
  }

  async run(ground: Ground): Promise<Staged> {
    const { signal } = this.#context
    this.#context.report({
      phase: 'verifying',
      bytesDone: 0,
      bytesTotal: this.#details.tarBytes,
      itemsDone: 0,
      itemsTotal: null,
      currentItem: null,
    })
    const pool = await this.#options.pools.open(this.#snapshot.poolId)
    const copies = await openArchive(pool, this.#snapshot, { signal })
    try {
      const totals = (await this.#totalsOfRecord(ground, copies)) ?? (await this.#plan(copies))
      await this.#assertRoom(ground, totals)
      this.#itemsTotal = totals.itemCount
      const extracted = await this.#extract(ground, totals, copies)
      return { extracted, matchedManifest: this.#matchedManifest }
    } finally {
      await copies.release()
    }
  }

  /** All of an uncompressed archive is extracted while its manifest is still read; `null` where that must be read first. */
  async #totalsOfRecord(ground: Ground, copies: ArchiveCopies): Promise<Totals | null> {
    const { compression, tarBytes } = this.#details
    if (compression !== 'none' || this.#wish.patterns !== null || copies.manifestPath === null) {
      return null
    }
    const { contentBytes } = this.#snapshot
    if (contentBytes > (await freeBytesOf(dirname(ground.swap.work)))) return null
    return {
      plan: null,
      manifestPath: copies.manifestPath,
      tarBytes,
      entryCountMax: entryCountMax(tarBytes),
      itemCount: null,
      contentBytes,
    }
  }

  async #plan(copies: ArchiveCopies): Promise<Totals> {
    const { tarBytes } = this.#details
    const fromManifest = await this.#planFromManifest(copies.manifestPath, this.#context.signal)
    this.#matchedManifest = fromManifest !== null
    const plan = fromManifest ?? (await this.#planFromTar(copies))
    this.#assertPlan(plan)
    return {
      plan,
      manifestPath: fromManifest === null ? null : copies.manifestPath,
      tarBytes: plan.end?.tarBytes ?? tarBytes,
      entryCountMax: plan.end?.entryCount ?? entryCountMax(tarBytes),
      itemCount: plan.wanted?.itemCount ?? plan.itemCount,
      contentBytes:
        plan.wanted?.contentBytes ?? plan.end?.contentBytes ?? this.#snapshot.contentBytes,
    }
  }

  async #planFromManifest(
    manifestPath: string | null,
    signal: AbortSignal,
  ): Promise<ArchivePlan | null> {
    if (manifestPath === null) {
      this.#warnManifest('manifest_missing', 'the manifest of the snapshot is missing')
      return null
    }
    const { patterns } = this.#wish
    const job = {
      kind: 'plan',
      patterns,
      manifestPath,
      bounds: this.#bounds,
      place: null,
      entryCountMax: 0,
    } as const
    try {
      return await this.#options.threads.run<'plan'>(job, signal)
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'damaged') throw error
      this.#warnManifest('manifest_damaged', 'the manifest of the snapshot cannot be read')
      return null
    }
  }

  /** Where only some of it is wanted, the tar itself has to be read through for what that is. */
  #planFromTar(copies: ArchiveCopies): Promise<ArchivePlan> {
    const { patterns } = this.#wish
    const place = patterns === null ? null : this.#place(copies, null)
    const max = entryCountMax(this.#details.tarBytes)
    return this.#options.threads.run<'plan'>(
      {
        kind: 'plan',
        patterns,
        manifestPath: null,
        bounds: this.#bounds,
        place,
        entryCountMax: max,
      },
      this.#context.signal,
    )
  }

  #assertPlan(plan: ArchivePlan): void {
    const { end, start, wanted } = plan
    if (end !== null && start !== null) {
      const same =
        end.sha256 === this.#snapshot.sha256 &&
        end.archiveBytes === this.#snapshot.bytes &&
        start.compression === this.#details.compression &&
        end.tarBytes === this.#details.tarBytes
      if (!same) throw snapshotDamaged(this.#snapshot, 'its manifest belongs to another archive')
    }
    const [unmatched] = wanted?.unmatched ?? []
    if (unmatched !== undefined) {
      throw new AppError('not_found', `nothing in the snapshot matches ${unmatched}`, {
        path: unmatched,
      })
    }
  }

  #warnManifest(code: string, what: string): void {
    const message = `${what}: the archive was checked against its own SHA-256 alone`
    this.#context.warn({ code, message, item: null })
  }

  #place(copies: ArchiveCopies, plan: ArchivePlan | null): TarPlace {
    const { compression, tarBytes } = this.#details
    const { archivePath } = copies
    return { archivePath, compression, frames: plan?.frames ?? null, tarBytesMax: tarBytes }
  }

  async #assertRoom(ground: Ground, totals: Totals): Promise<void> {
    const kept = ground.earlier?.contentBytes ?? 0
    const freeBytes = await freeBytesOf(dirname(ground.swap.work))
    if (totals.contentBytes - kept <= freeBytes) return
    // Files with holes need less than they seem to: only now is it worth to count them.
    const wanted = await this.#wantedOf(totals)
    const neededBytes = Math.max(0, totals.contentBytes - (wanted?.sparseBytes ?? 0) - kept)
    if (neededBytes > freeBytes) throw noRoom(neededBytes, freeBytes)
  }

  async #wantedOf({ plan, manifestPath }: Totals): Promise<WantedTotals | null> {
    if (plan?.wanted != null || manifestPath === null) return plan?.wanted ?? null
    const counted = await this.#options.threads.run(
      {
        kind: 'plan',
        manifestPath,
        bounds: this.#bounds,
        place: null,
        entryCountMax: 0,
        patterns: ['.'],
      },
      this.#context.signal,
    )
    return counted.wanted
  }

  /** One thread proves the archive, another one extracts; both must be well. */
  async #extract(ground: Ground, totals: Totals, copies: ArchiveCopies): Promise<ExtractResult> {
    const failed = new AbortController()
    const signal = AbortSignal.any([this.#context.signal, failed.signal])
    const progress = new SharedProgress()
    const stopTelling = this.#tell(ground, totals, progress)
    const job = this.#extractJob(ground, totals, copies)
    const { threads } = this.#options
    try {
      const proving = this.#prove(totals, copies, signal)
      const shared = this.#details.compression === 'none' ? { ...job, manifestPath: null } : job
      const extracting = threads.run<'extract'>(shared, signal, progress)
      for (const work of [proving, extracting]) work.catch((error) => failed.abort(error))
      // Nothing may still write when this goes on: the staging is removed then.
      await Promise.allSettled([proving, extracting])
      failed.signal.throwIfAborted()
      const [proven, extracted] = await Promise.all([proving, extracting])
      this.#assertProven(proven, extracted, totals)
      return extracted
    } catch (error) {
      if (this.#context.signal.aborted) {
        await this.#saveExtracting(ground, progress)
        throw this.#context.signal.reason
      }
      throw error
    } finally {
      await stopTelling()
    }
  }

  /** Where nothing must be unpacked, comparing with the manifest is the share of this thread. */
  async #prove(
    totals: Totals,
    copies: ArchiveCopies,
    signal: AbortSignal,
  ): Promise<HashResult | ProveResult> {
    const { threads } = this.#options
    let plan = totals.plan
    if (plan === null) {
      plan = await this.#planFromManifest(totals.manifestPath, signal)
      if (plan !== null) this.#assertPlan(plan)
      this.#itemsTotal = plan?.itemCount ?? null
      this.#matchedManifest = plan !== null
    }
    const { manifestPath } = totals
    if (this.#details.compression !== 'none' || manifestPath === null || plan === null) {
      return threads.run<'hash'>({ kind: 'hash', path: copies.archivePath }, signal)
    }
    const max = plan.end?.entryCount ?? totals.entryCountMax
    const place = this.#place(copies, null)
    return threads.run<'prove'>({ kind: 'prove', place, entryCountMax: max, manifestPath }, signal)
  }

  #extractJob(ground: Ground, totals: Totals, copies: ArchiveCopies): ExtractJob {
    const work = ground.workPath
    const merges = ground.mode === 'merge' && ground.target.exists
    return {
      kind: 'extract',
      place: this.#place(copies, totals.plan),
      entryCountMax: totals.entryCountMax,
      manifestPath: totals.manifestPath,
      root: newRoot(work),
      sideRoot: `${work}/side`,
      xattrsPath: `${work}/xattrs`,
      patterns: this.#wish.patterns,
      sideKeys: totals.plan?.wanted?.sideKeys ?? [],
      existing: merges ? ground.target.path : null,
      resumeOffset: ground.earlier?.tarOffset ?? 0,
    }
  }

  #assertProven(proven: HashResult | ProveResult, extracted: ExtractResult, totals: Totals): void {
    if (proven.sha256 !== this.#snapshot.sha256 || proven.bytes !== this.#snapshot.bytes) {
      throw snapshotDamaged(this.#snapshot, 'its archive has another SHA-256 than was written')
    }
    if (extracted.tarBytes !== totals.tarBytes) {
      throw snapshotDamaged(this.#snapshot, 'its tar has another length than was written')
    }
    const expected = 'largeHashes' in proven ? proven.largeHashes : null
    if (expected !== null && !sameLargeHashes(extracted.largeHashes, expected)) {
      throw snapshotDamaged(this.#snapshot, 'a file has another SHA-256 than its manifest says')
    }
  }

  #tell(ground: Ground, totals: Totals, progress: SharedProgress): () => Promise<void> {
    const { earlier } = ground
    const tell = () =>
      this.#context.report({
        phase: 'extracting',
        bytesDone: Math.max(progress.get('bytesDone'), earlier?.tarOffset ?? 0),
        bytesTotal: totals.tarBytes,
        itemsDone: Math.max(progress.get('itemsDone'), earlier?.itemCount ?? 0),
        itemsTotal: this.#itemsTotal,
        currentItem: progress.item,
      })
    tell()
    const telling = setInterval(tell, this.#options.progressIntervalMs ?? PROGRESS_INTERVAL_MS)
    let saving: Promise<void> | null = null
    const save = () => {
      saving ??= this.#saveExtracting(ground, progress).finally(() => {
        saving = null
      })
    }
    const saves = setInterval(save, this.#options.checkpointIntervalMs ?? CHECKPOINT_INTERVAL_MS)
    return async () => {
      clearInterval(telling)
      clearInterval(saves)
      tell()
      // An older checkpoint must not be saved after the next one.
      await saving
    }
  }

  async #saveExtracting(ground: Ground, progress: SharedProgress): Promise<void> {
    const { earlier } = ground
    const checkpoint: RestoreCheckpoint = {
      version: 1,
      step: 'extracting',
      swap: ground.swap,
      madeParent: ground.madeParent,
      bootId: this.#bootId,
      tarOffset: Math.max(progress.get('safeOffset'), earlier?.tarOffset ?? 0),
      itemCount: Math.max(progress.get('safeItems'), earlier?.itemCount ?? 0),
      contentBytes: Math.max(progress.get('safeBytes'), earlier?.contentBytes ?? 0),
      result: null,
    }
    await this.#context.saveCheckpoint(toJson(checkpoint)).catch(() => {
      // A run that lost its lease learns it from its signal, and before the swap.
    })
  }
}
