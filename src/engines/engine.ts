import type { Readable } from 'node:stream'
import type { JsonObject } from '../core/json.ts'
import type { OperationKind } from '../core/kinds.ts'
import type { Warning } from '../core/outcome.ts'
import type { ProgressReport } from '../core/progress.ts'
import type { Snapshot, SnapshotDraft } from '../core/snapshot.ts'
import type { Source } from '../core/source.ts'

/** What one run works on, read from the records at its start. */
export interface EngineTask {
  readonly operationId: string
  readonly accountId: string
  readonly kind: OperationKind
  /** Parsed by the engine: it alone knows the shape. */
  readonly input: JsonObject
  /** With its secrets opened. `null` where the operation has no source, or it is gone. */
  readonly source: Source | null
  readonly snapshot: Snapshot | null
  readonly poolId: string | null
  /** Set where an admin asked for it: every path is then allowed. */
  readonly byAdmin?: boolean
  /** What the operation holds, as `subjects` answered when it was asked for. Not there before it is in the queue. */
  readonly subjects?: readonly string[]
  /** Counts the runs of this operation from 1. Put it into every name that two runs must not share. */
  readonly attempt: number
}

/** Throws `forbidden` where whoever asks may not use a folder. `given` is how he named it, for the message. */
export type AssertAllowedPath = (
  task: Pick<EngineTask, 'accountId' | 'byAdmin' | 'kind'>,
  realPath: string,
  given: string,
) => Promise<void>

/** What an engine is given for one run. It has nothing else: no store, no bus, no clock. */
export interface EngineContext {
  /** Aborts for a pause, a cancel, a shutdown and a lost lease alike: stop, and leave a checkpoint. */
  readonly signal: AbortSignal
  /** Never throws, never blocks; call it as often as there is something to say. */
  report(progress: ProgressReport): void
  /** Never throws, never blocks. Beyond a limit warnings are only counted. */
  warn(warning: Warning): void
  /** What the last run saved, or `null` at a first run. */
  readonly checkpoint: JsonObject | null
  /**
   * Whether the run that left the checkpoint has certainly ended: its files may
   * be gone on with in place. Where it is false (a worker that only looks dead)
   * they MUST be copied or left alone.
   */
  readonly predecessorEnded: boolean
  /**
   * Saves where to go on from; durable when it resolves. Rejects when this run
   * has lost its lease: the engine MUST then stop without publishing.
   */
  saveCheckpoint(checkpoint: JsonObject): Promise<void>
  /** Says what a checkpoint saved this run from doing again. Call it once, when the work goes on. */
  resumedFrom(bytesNotRedone: number): void
  /** Rejects when another run has taken over. MUST be awaited right before anything is published. */
  assertCurrent(): Promise<void>
}

export interface EngineResult {
  /** Kept with the operation and shown to clients. */
  readonly result: JsonObject
  /** A backup's snapshot: recorded in the same commit that says `completed`. */
  readonly snapshot?: SnapshotDraft
  /** What a verify found: recorded with its snapshot in the same commit. A damage found is no failure of the verify. */
  readonly verifiedWell?: boolean
}

/**
 * Does one kind of work. An implementation
 *
 * - MUST settle soon after `signal` aborts, rejecting with `signal.reason`, and
 *   save a checkpoint before it does, where it can;
 * - MUST leave nothing a reader could take for a whole result when it rejects;
 * - MUST be safe to run again with the same input, with or without the checkpoint;
 * - MUST NOT swallow a failure: what it cannot do, it throws;
 * - MUST publish at most once, atomically, under a name that only this attempt uses.
 *
 * `describeEngine` in engine.contract.ts holds every engine to these.
 */
export interface Engine {
  /**
   * What nobody else may work on while this operation is live, such as
   * `source:<id>` or `path:/srv/world`. A submission that meets a held subject is refused.
   */
  subjects(task: EngineTask): readonly string[]
  /** Refuses a task that can never work, before it is queued. Throws `AppError` with a sentence that says what to do. */
  check(task: EngineTask): Promise<void>
  run(task: EngineTask, context: EngineContext): Promise<EngineResult>
  /**
   * Removes what runs of this operation left half-made. Called once the
   * operation will not run again without a result, also by another process than
   * the one that ran it. MUST remove only what the operation itself created.
   */
  discard(task: EngineTask, checkpoint: JsonObject | null): Promise<void>
}

/** One entry of a snapshot. Paths are relative to its root, with `/`, and never begin with one. */
export interface SnapshotEntry {
  readonly path: string
  readonly type: 'file' | 'directory' | 'symlink' | 'hardlink' | 'other'
  readonly bytes: number
  readonly mode: number
  readonly modifiedAtMs: number
  readonly linkTarget: string | null
  readonly sha256: string | null
  /** Set where the path is no UTF-8: its bytes in base64. `path` then holds replacement characters. */
  readonly pathBytes: string | null
}

export interface SnapshotPage {
  readonly entries: readonly SnapshotEntry[]
  /** Pass it to read on; `null` at the end. */
  readonly cursor: string | null
}

export interface SnapshotContent {
  readonly name: string
  readonly bytes: number
  readonly modifiedAtMs: number | null
  readonly sha256: string | null
  /** Opens it from `start` to before `end`. Reads no more of the archive than it must. */
  open(
    range: { readonly start: number; readonly end: number },
    signal: AbortSignal,
  ): Promise<Readable>
}

/** Reads snapshots of one format without restoring them. */
export interface SnapshotReader {
  /** The entries of one directory (`''` is the root), in name order, directories first. */
  browse(
    snapshot: Snapshot,
    options: { readonly path: string; readonly cursor: string | null; readonly limit: number },
  ): Promise<SnapshotPage>
  /** One file of it, by its path or the bytes of that; throws `not_found` where there is none of that path. */
  file(snapshot: Snapshot, path: string | Buffer): Promise<SnapshotContent>
  /** The whole archive as it rests in its pool. */
  whole(snapshot: Snapshot): Promise<SnapshotContent>
  /** Removes its objects. Safe to call again after a crash in the middle. */
  remove(snapshot: Snapshot): Promise<void>
}

/** Why a run is stopped from outside: the reason of `EngineContext.signal`. */
export class StopRequest extends Error {
  override readonly name = 'StopRequest'
  readonly why: 'pause' | 'cancel' | 'shutdown' | 'lease_lost'

  constructor(why: StopRequest['why']) {
    super(`run stopped: ${why}`)
    this.why = why
  }
}
