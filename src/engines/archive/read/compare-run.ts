import { AppError } from '../../../core/errors.ts'
import type { JsonObject } from '../../../core/json.ts'
import type { Snapshot } from '../../../core/snapshot.ts'
import { systemCodeOf } from '../../../platform/files.ts'
import type { Pool } from '../../../pools/pool.ts'
import type { AssertAllowedPath, EngineContext, EngineResult } from '../../engine.ts'
import { explainRoot } from '../create/backup-plan.ts'
import { manifestBounds, parseDetails, snapshotDamaged } from '../format/archive-place.ts'
import type { ComparedFolder, CompareWish } from './compare-input.ts'
import { COMPARE_BEGIN, type CompareState } from './compare-scan.ts'
import type { ReadPool } from './read-pool.ts'
import type { ArchivePlan } from './restore-plan.ts'
import { SharedProgress } from './shared-progress.ts'

export interface CompareOptions {
  readonly threads: ReadPool
  /** Nothing in these is ever looked at. */
  readonly forbiddenRoots: () => Promise<readonly string[]>
  /** Throws where the account that asks may not use a folder (its real path). Left out, everybody may use all. */
  readonly assertAllowedPath?: AssertAllowedPath
  readonly progressIntervalMs?: number
  /** How often the state is saved: a crash costs at most this, and the file in hand. */
  readonly sliceMs?: number
}

interface Totals {
  readonly bytes: number
  readonly items: number | null
}

/** Part of the checkpoint: another folder at that path is not gone on with. */
interface Checkpoint {
  readonly version: 1
  readonly root: string
  readonly state: CompareState
}

const PROGRESS_INTERVAL_MS = 100
/** The manifest is unpacked anew for each slice: it is long beside that. */
const SLICE_MS = 20_000
/** With more hard links than these a checkpoint would be too large: the work then starts again after a crash. */
const LINKS_KEPT_MAX = 10_000

export const manifestMissing = (snapshot: Snapshot): AppError =>
  snapshotDamaged(
    snapshot,
    'its manifest is missing from the pool, and without it no folder can be compared: verify the snapshot itself, or restore it again',
  )

function parseCheckpoint(json: JsonObject | null, root: string): CompareState | null {
  if (json === null || json['version'] !== 1 || json['root'] !== root) return null
  // Only this module writes them, and the version was looked at.
  return (json as unknown as Checkpoint).state
}

/** Compares a folder with a snapshot byte for byte. Reads, and writes nothing but its checkpoints. */
export class CompareRun {
  readonly #snapshot: Snapshot
  readonly #wish: CompareWish
  readonly #context: EngineContext
  readonly #options: CompareOptions

  constructor(
    snapshot: Snapshot,
    wish: CompareWish,
    context: EngineContext,
    options: CompareOptions,
  ) {
    this.#snapshot = snapshot
    this.#wish = wish
    this.#context = context
    this.#options = options
  }

  async run(pool: Pool, folder: ComparedFolder): Promise<EngineResult> {
    const { signal } = this.#context
    const earlier = parseCheckpoint(this.#context.checkpoint, folder.root.path)
    if (earlier !== null) this.#context.resumedFrom(earlier.checkedBytes)
    const { manifestKey } = parseDetails(this.#snapshot)
    if ((await pool.stat(manifestKey)) === null) throw manifestMissing(this.#snapshot)
    const manifest = await pool.localCopy(manifestKey, { signal })
    try {
      const totals = await this.#plan(manifest.path)
      const state = await this.#compare(folder, manifest.path, totals, earlier ?? COMPARE_BEGIN)
      return this.#result(state)
    } finally {
      await manifest.release()
    }
  }

  async #plan(manifestPath: string): Promise<Totals> {
    const { patterns } = this.#wish
    const bounds = manifestBounds(this.#snapshot)
    const job = {
      kind: 'plan',
      manifestPath,
      bounds,
      place: null,
      entryCountMax: 0,
      patterns,
    } as const
    const { end, wanted, itemCount }: ArchivePlan = await this.#options.threads.run<'plan'>(
      job,
      this.#context.signal,
    )
    if (end?.sha256 !== this.#snapshot.sha256) {
      throw snapshotDamaged(this.#snapshot, 'its manifest belongs to another archive')
    }
    const [unmatched] = wanted?.unmatched ?? []
    if (unmatched !== undefined) {
      throw new AppError('not_found', `nothing in the snapshot matches ${unmatched}`, {
        path: unmatched,
      })
    }
    return {
      bytes: wanted?.contentBytes ?? end.contentBytes,
      items: wanted?.itemCount ?? itemCount,
    }
  }

  /** Slice after slice, each from the state that the last one left. */
  async #compare(
    folder: ComparedFolder,
    manifestPath: string,
    totals: Totals,
    from: CompareState,
  ): Promise<CompareState> {
    const { signal } = this.#context
    let state = from
    while (!state.isFinished) {
      state = await this.#slice(folder, manifestPath, totals, state)
      if (signal.aborted) {
        await this.#save(folder, state).catch(() => {
          // A run that lost its lease learns it from its signal.
        })
        throw signal.reason
      }
      if (!state.isFinished) await this.#save(folder, state)
    }
    return state
  }

  async #slice(
    { root, never }: ComparedFolder,
    manifestPath: string,
    totals: Totals,
    from: CompareState,
  ): Promise<CompareState> {
    const { threads, progressIntervalMs, sliceMs } = this.#options
    const progress = new SharedProgress()
    progress.set('bytesDone', from.checkedBytes)
    progress.set('itemsDone', from.itemsDone)
    const tell = () => this.#report(progress, totals)
    tell()
    const telling = setInterval(tell, progressIntervalMs ?? PROGRESS_INTERVAL_MS)
    try {
      return await threads.run<'compare'>(
        {
          kind: 'compare',
          manifestPath,
          root,
          never,
          patterns: this.#wish.patterns,
          from,
          sliceMs: sliceMs ?? SLICE_MS,
        },
        this.#context.signal,
        progress,
      )
    } catch (error) {
      // The folder itself went away, or its rights were taken, while it was compared.
      const code = systemCodeOf(error)
      if (code === null || this.#context.signal.aborted) throw error
      throw explainRoot(error, code, this.#wish.targetPath)
    } finally {
      clearInterval(telling)
      tell()
    }
  }

  async #save(folder: ComparedFolder, state: CompareState): Promise<void> {
    if (state.links.found.length + state.links.left.length > LINKS_KEPT_MAX) return
    const checkpoint: Checkpoint = { version: 1, root: folder.root.path, state }
    // Plain records of strings and numbers: a copy through JSON loses nothing.
    await this.#context.saveCheckpoint(JSON.parse(JSON.stringify(checkpoint)))
  }

  #report(progress: SharedProgress, totals: Totals): void {
    this.#context.report({
      phase: 'comparing',
      // A hard link whose first name is not compared brings content that is not counted in the total.
      bytesDone: Math.min(progress.get('bytesDone'), totals.bytes),
      bytesTotal: totals.bytes,
      itemsDone: progress.get('itemsDone'),
      itemsTotal: totals.items,
      currentItem: progress.item,
    })
  }

  /** Of the folder alone: it says nothing of the archive, so the snapshot is not called verified. */
  #result(state: CompareState): EngineResult {
    const { checkedFiles, checkedBytes, damageCount, damages, extraCount, extras } = state
    for (const { path, what } of damages) {
      this.#context.warn({ code: 'differs', message: what, item: path })
    }
    const result: JsonObject = {
      target: this.#wish.targetPath,
      checkedFiles,
      checkedBytes,
      damageCount,
      damages: damages.map((damage) => ({ ...damage })),
      extraCount,
      extras: extras.map((extra) => ({ ...extra })),
    }
    return { result }
  }
}
