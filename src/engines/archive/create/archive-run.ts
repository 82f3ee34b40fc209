import { open } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import type { Warning } from '../../../core/outcome.ts'
import type { EngineContext } from '../../engine.ts'
import { StopRequest } from '../../engine.ts'
import { type ArchivingCheckpoint, toCheckpointJson } from './backup-checkpoint.ts'
import type { BackupPlan } from './backup-plan.ts'
import type { DigestResult, DigestStageInput, ManifestNews } from './digest-stage.ts'
import type { PositionNews, ReadStageInput } from './read-stage.ts'
import type { Resume, StagedPaths } from './resume.ts'
import { ABORTED, PACKERS_MAX, Ring, type RingMemory, STOPPING } from './ring.ts'
import type { TreeSize } from './scan-stage.ts'
import { StageError, type Threads } from './threads.ts'
import type { TroubleNews } from './troubles.ts'
import type { ArchiveNews, KeptNews, WriteResult, WriteStageInput } from './write-stage.ts'

const REPORT_INTERVAL_MS = 100
/** A pause or a shutdown that leads to no checkpoint in this time is made to end without one. */
const CHECKPOINT_MAX_MS = 5_000
/** Making a checkpoint durable may take this share of the time between two of them. */
const CHECKPOINT_SHARE = 0.25

export interface ArchiveRunInput {
  readonly plan: BackupPlan
  readonly size: TreeSize
  readonly stem: string
  readonly paths: StagedPaths
  readonly createdAtMs: number
  readonly resume: Resume | null
  readonly xattrs: ReadStageInput['xattrs']
  readonly checkpointIntervalMs: number
  readonly monotonicMs: () => number
  /** Rejects where the archive may not grow any further. Called often: it must be cheap. */
  readonly assertRoom: (bytesDone: number) => Promise<void>
}

/** What a run has made. */
export interface ArchiveMade extends DigestResult {
  /** Of the archive, where it was asked for. */
  readonly sha1?: string
}

interface Parts {
  position?: PositionNews
  archive?: ArchiveNews
  manifest?: ManifestNews
}

type News = PositionNews | ArchiveNews | ManifestNews | TroubleNews | KeptNews

/** One run of the threads over one tree: from the first slot, or from a checkpoint, to the end or a stop. */
export class ArchiveRun {
  readonly #input: ArchiveRunInput
  readonly #context: EngineContext
  readonly #threads: Threads
  readonly #memory: RingMemory
  readonly #ring: Ring
  readonly #parts = new Map<number, Parts>()
  #saving: Promise<void> = Promise.resolve()
  #wantedId = 0
  #nextCheckpointAtMs: number
  /** Aborts when the threads are to end at once. */
  readonly #ended = new AbortController()
  #stopTimer: NodeJS.Timeout | undefined
  #failure: unknown = null
  #itemsDone = 0
  #isAskingForRoom = false

  constructor(input: ArchiveRunInput, context: EngineContext, threads: Threads) {
    this.#input = input
    this.#context = context
    this.#threads = threads
    const packers =
      input.plan.compression === 'none' ? 0 : Math.min(PACKERS_MAX, availableParallelism())
    this.#memory = threads.takeRing(packers)
    this.#ring = new Ring(this.#memory)
    this.#nextCheckpointAtMs = input.monotonicMs() + input.checkpointIntervalMs
  }

  get itemsDone(): number {
    return this.#itemsDone
  }

  get bytesDone(): number {
    return this.#ring.bytesDone
  }

  /** Rejects with the reason of the signal where it was told to stop before the end. */
  async run(): Promise<ArchiveMade> {
    const { signal } = this.#context
    const onAbort = (): void => this.#stop()
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    const timer = setInterval(() => this.#tick(), REPORT_INTERVAL_MS)
    try {
      const [digest, write, ...others] = this.#start()
      await Promise.all([digest, write, ...others].map((stage) => this.#watch(stage)))
      clearTimeout(this.#stopTimer)
      await this.#saving
      if (this.#failure !== null) throw toError(this.#failure)
      const [made, written] = [await digest, await write]
      if (made === null || written === null) {
        signal.throwIfAborted()
        throw new Error('the archive ended without a result')
      }
      this.#report()
      return written.sha1 === null ? made : { ...made, sha1: written.sha1 }
    } finally {
      clearInterval(timer)
      clearTimeout(this.#stopTimer)
      signal.removeEventListener('abort', onAbort)
      // A thread that had to be ended may yet be writing to it, from within a file call.
      if (this.#failure === null) this.#threads.giveRing(this.#memory)
    }
  }

  #stop(): void {
    const { reason } = this.#context.signal
    const why = reason instanceof StopRequest ? reason.why : 'shutdown'
    // Nothing goes on from a cancelled run, and a lost one may not save.
    const atOnce = why === 'cancel' || why === 'lease_lost'
    if (atOnce) this.#fail(reason)
    else {
      this.#ring.stop(STOPPING)
      this.#stopTimer = setTimeout(() => this.#fail(reason), CHECKPOINT_MAX_MS)
    }
  }

  #fail(error: unknown): void {
    this.#failure ??= error
    this.#ring.stop(ABORTED)
    this.#ended.abort(this.#failure)
  }

  /** The first failure ends the others, which then only say that they were ended. */
  async #watch(stage: Promise<unknown>): Promise<void> {
    try {
      await stage
    } catch (error) {
      const echo = error instanceof StageError && error.failure.name === 'RunAborted'
      if (!echo || this.#failure === null) this.#fail(error)
    }
  }

  #start(): [Promise<DigestResult | null>, Promise<WriteResult | null>, ...Promise<unknown>[]] {
    const { plan } = this.#input
    const stop = this.#ended.signal
    const onNews = (news: News): void => this.#take(news)
    const packers = Array.from({ length: this.#memory.packers }, (_, packer) =>
      plan.compression === 'none'
        ? Promise.resolve()
        : this.#threads.run(
            'pack',
            { ring: this.#memory, compression: plan.compression, level: plan.level, packer },
            stop,
          ),
    )
    return [
      this.#threads.run('digest', this.#digestInput(), stop, onNews),
      this.#threads.run('write', this.#writeInput(), stop, onNews),
      this.#threads.run('read', this.#readInput(), stop, onNews),
      ...packers,
    ]
  }

  #readInput(): ReadStageInput {
    const { plan, resume, xattrs } = this.#input
    return {
      ring: this.#memory,
      root: Buffer.from(plan.root).toString('latin1'),
      rootId: plan.rootId,
      ignore: plan.ignore,
      never: plan.never,
      readyCount: 2,
      tarBytes: resume?.tarBytes ?? 0,
      bytesDone: resume?.bytesDone ?? 0,
      itemsDone: resume?.itemsDone ?? 0,
      resume: resume?.walk ?? null,
      open: resume?.open ?? null,
      links: resume?.links ?? [],
      xattrs,
    }
  }

  #writeInput(): WriteStageInput {
    const { plan, paths, resume } = this.#input
    return {
      ring: this.#memory,
      archivePath: paths.archive,
      withSha1: plan.withSha1,
      archiveBytes: resume?.archiveBytes ?? 0,
      promised: resume?.checkpoint.archive ?? null,
      markArchiveBytes: resume?.checkpoint.archive.markArchiveBytes ?? 0,
    }
  }

  #digestInput(): DigestStageInput {
    const { plan, paths, resume, createdAtMs } = this.#input
    const { open: file } = resume ?? { open: null }
    const kept = resume?.checkpoint
    return {
      ring: this.#memory,
      manifestPath: paths.manifest,
      compression: plan.compression,
      createdAtMs,
      tarBytes: resume?.tarBytes ?? 0,
      manifestBytes: resume?.manifestBytes ?? 0,
      markManifestBytes: kept?.manifest.markManifestBytes ?? 0,
      entryCount: kept?.manifest.entryCount ?? 0,
      fileCount: kept?.manifest.fileCount ?? 0,
      contentBytes: kept?.manifest.contentBytes ?? 0,
      open:
        file === null || resume === null
          ? null
          : {
              archivePath: paths.archive,
              compression: plan.compression,
              contentOffset: file.contentOffset,
              bytes: file.done,
              frames: resume.openFrames,
              tarBytes: resume.tarBytes,
              archiveBytes: resume.archiveBytes,
            },
    }
  }

  #take(news: News): void {
    if (news.is === 'warning') this.#context.warn(news.warning)
    else if (news.is === 'more') this.#warnMore(news)
    else if (news.is !== 'kept') this.#collect(news)
    else if (this.#input.resume !== null) this.#context.resumedFrom(this.#input.resume.bytesDone)
  }

  #warnMore({ code, count }: Extract<TroubleNews, { is: 'more' }>): void {
    const warning: Warning = { code, message: 'one more like those before', item: null }
    for (let index = 0; index < count; index += 1) this.#context.warn(warning)
  }

  /** A checkpoint is whole when each of the three threads has said where it stood. */
  #collect(news: PositionNews | ArchiveNews | ManifestNews): void {
    const parts = this.#parts.get(news.id) ?? {}
    this.#parts.set(news.id, { ...parts, [news.is]: news })
    const { position, archive, manifest } = this.#parts.get(news.id) ?? {}
    if (position === undefined || archive === undefined || manifest === undefined) return
    this.#parts.delete(news.id)
    this.#saving = this.#saving
      .then(() => this.#save(position, archive, manifest))
      .catch((error) => this.#fail(error))
  }

  async #save(
    { is: _p, id: _pi, ...position }: PositionNews,
    { is: _a, id: _ai, ...archive }: ArchiveNews,
    { is: _m, id: _mi, ...manifest }: ManifestNews,
  ): Promise<void> {
    if (this.#failure !== null) return
    const { plan, stem, size, createdAtMs, paths, monotonicMs } = this.#input
    const beganAtMs = monotonicMs()
    await Promise.all([syncFile(paths.archive), syncFile(paths.manifest)])
    const checkpoint: ArchivingCheckpoint = {
      phase: 'archiving',
      fingerprint: plan.fingerprint,
      stem,
      createdAtMs,
      size,
      position,
      archive,
      manifest,
    }
    await this.#context.saveCheckpoint(toCheckpointJson(checkpoint))
    const endedAtMs = monotonicMs()
    const pauseMs = (endedAtMs - beganAtMs) / CHECKPOINT_SHARE
    this.#nextCheckpointAtMs = endedAtMs + Math.max(this.#input.checkpointIntervalMs, pauseMs)
  }

  #tick(): void {
    this.#report()
    this.#askForRoom()
    if (this.#input.monotonicMs() < this.#nextCheckpointAtMs) return
    this.#nextCheckpointAtMs = Number.POSITIVE_INFINITY
    this.#wantedId += 1
    this.#ring.wantCheckpoint(this.#wantedId)
  }

  #askForRoom(): void {
    if (this.#isAskingForRoom) return
    this.#isAskingForRoom = true
    this.#input
      .assertRoom(this.#ring.bytesDone)
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        this.#isAskingForRoom = false
      })
  }

  #report(): void {
    const { size } = this.#input
    const bytesDone = this.#ring.bytesDone
    const itemsDone = this.#ring.itemsDone
    this.#itemsDone = itemsDone
    this.#context.report({
      phase: 'archiving',
      bytesDone,
      bytesTotal: Math.max(size.contentBytes, bytesDone),
      itemsDone,
      itemsTotal: Math.max(size.itemCount, itemsDone),
      currentItem: this.#ring.item,
    })
  }
}

const toError = (failure: unknown): Error =>
  failure instanceof Error ? failure : new Error(String(failure))

/** What was written is on the disk when this resolves: any descriptor of a file does for that. */
export async function syncFile(path: string): Promise<void> {
  const handle = await open(path, 'r+')
  try {
    await handle.datasync()
  } finally {
    await handle.close()
  }
}
