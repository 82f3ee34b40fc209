import { existsSync } from 'node:fs'
import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { JsonObject } from '../../../core/json.ts'
import type { Snapshot } from '../../../core/snapshot.ts'
import { startCommand } from '../../../platform/command.ts'
import { explainOutOfRoom, makeMissing, systemCodeOf } from '../../../platform/files.ts'
import { readProcessIdentity } from '../../../platform/process-identity.ts'
import {
  type EngineContext,
  type EngineResult,
  type EngineTask,
  StopRequest,
} from '../../engine.ts'
import { parseDetails } from '../format/archive-place.ts'
import { assertHeldPlace } from './held-place.ts'
import {
  type Ground,
  parseCheckpoint,
  type RestoreCheckpoint,
  toJson,
} from './restore-checkpoint.ts'
import { decideMode, parseRestoreInput, type RestoreWish } from './restore-input.ts'
import { type RestoreArchiveOptions, RestoreStage, type Staged } from './restore-stage.ts'
import { removeEmptyParents, removeWork, workName } from './restore-work.ts'
import { newRoot, prepareSwap, type Swap, swapBack, swapIn } from './swap.ts'
import { inSwapFolder, openPrivateFolder, type PrivateFolder } from './swap-folder.ts'
import { explainTarget, inspectTarget, type RestoreTarget } from './target.ts'

/** Commands of the system, wherever this process was started. */
const COMMAND_ENV = { PATH: '/usr/bin:/bin:/usr/sbin:/sbin' }

/** One run of one restore. */
export class RestoreRun {
  readonly #task: EngineTask
  readonly #snapshot: Snapshot
  readonly #context: EngineContext
  readonly #options: RestoreArchiveOptions
  readonly #wish: RestoreWish
  #held: PrivateFolder | null = null
  readonly #bootId = readProcessIdentity().bootId

  constructor(
    task: EngineTask,
    snapshot: Snapshot,
    context: EngineContext,
    options: RestoreArchiveOptions,
  ) {
    this.#task = task
    this.#snapshot = snapshot
    this.#context = context
    this.#options = options
    this.#wish = parseRestoreInput(task)
  }

  async run(): Promise<EngineResult> {
    const earlier = parseCheckpoint(this.#context.checkpoint)
    if (earlier !== null && earlier.step !== 'extracting') {
      const mayGoOn = earlier.step === 'swapped' || this.#context.predecessorEnded
      if (mayGoOn && this.#isThere(earlier)) {
        this.#context.resumedFrom(earlier.contentBytes)
        return earlier.step === 'swapped' ? this.#finish(earlier) : this.#swap(earlier)
      }
    }
    // Whoever made it ready may still be at it: what it did is taken back, and done again apart.
    if (earlier?.step === 'ready') swapBack(earlier.swap)
    let ground: Ground | null = null
    let ready: RestoreCheckpoint
    try {
      ground = await this.#prepareGround(earlier)
      if (earlier !== null) this.#context.resumedFrom(ground.earlier?.contentBytes ?? 0)
      const stage = new RestoreStage({
        snapshot: this.#snapshot,
        wish: this.#wish,
        context: this.#context,
        engine: this.#options,
        bootId: this.#bootId,
      })
      ready = await this.#makeReady(ground, await stage.run(ground))
    } catch (error) {
      if (this.#context.signal.aborted) throw await this.#stopped(ground)
      throw await this.#giveUp(error, ground)
    } finally {
      this.#letGo()
    }
    return this.#swap(ready)
  }

  /** A swap is only gone on with where its directory was not discarded meanwhile. */
  #isThere({ step, swap }: RestoreCheckpoint): boolean {
    return step === 'swapped' || existsSync(swap.work)
  }

  async #prepareGround(earlier: RestoreCheckpoint | null): Promise<Ground> {
    const target = await inspectTarget(this.#wish.targetPath, await this.#options.forbiddenRoots())
    await this.#assertPlace(target.path)
    const mode = decideMode(this.#wish, target)
    if (earlier !== null && (await this.#canGoOn(earlier, target))) {
      const { swap, madeParent } = earlier
      return { target, mode, swap, workPath: this.#hold(swap.work), madeParent, earlier }
    }
    if (this.#context.predecessorEnded) {
      await removeWork(this.#options.threads, this.#task.operationId, target.path)
    }
    const parent = target.mounted ? target.path : dirname(target.path)
    const madeParent = await makeMissing(parent)
    const work = `${parent}/${workName(this.#task.operationId, this.#task.attempt)}`
    const swap = {
      target: target.path,
      work,
      children: target.mounted,
      hadTarget: target.exists,
    }
    await mkdir(work, { mode: 0o700 })
    const workPath = this.#hold(work)
    await mkdir(newRoot(workPath), { mode: 0o700 })
    await mkdir(`${workPath}/side`, { mode: 0o700 })
    return {
      target,
      mode,
      swap,
      workPath,
      madeParent: madeParent ?? earlier?.madeParent ?? null,
      earlier: null,
    }
  }

  /** Opens the private directory of this run; it stays open until its tree is whole. */
  #hold(work: string): string {
    this.#held = openPrivateFolder(work)
    return this.#held.path
  }

  #letGo(): void {
    this.#held?.close()
    this.#held = null
  }

  #assertPlace(realPath: string): Promise<void> {
    const place = { realPath, given: this.#wish.targetPath }
    return assertHeldPlace(this.#task, place, this.#options.assertAllowedPath)
  }

  /** What an earlier run extracted is only gone on with where nobody else can be at it, and nothing was lost. */
  async #canGoOn(earlier: RestoreCheckpoint, target: RestoreTarget): Promise<boolean> {
    if (!this.#context.predecessorEnded || earlier.step !== 'extracting') return false
    if (earlier.bootId === '' || earlier.bootId !== this.#bootId) return false
    const { swap } = earlier
    if (swap.target !== target.path || swap.children !== target.mounted) return false
    if (swap.hadTarget !== target.exists) return false
    return stat(newRoot(swap.work)).then(
      (stats) => stats.isDirectory(),
      () => false,
    )
  }

  /** Everything that shall be at the target is complete, and durable, beside it. */
  async #makeReady(ground: Ground, staged: Staged): Promise<RestoreCheckpoint> {
    const { extracted } = staged
    const { signal } = this.#context
    const { workPath } = ground
    const { work, target } = ground.swap
    this.#reportSwapping(extracted.fileCount + extracted.linkCount)
    if (extracted.hasXattrs) await this.#setXattrs(workPath)
    let keptCount = 0
    if (ground.mode === 'merge' && ground.target.exists) {
      const merged = await this.#options.threads.run(
        {
          kind: 'merge',
          root: newRoot(workPath),
          existing: target,
          work,
          keepTop: ground.swap.children,
        },
        signal,
      )
      keptCount = merged.keptCount
      for (const warning of merged.warnings) this.#context.warn(warning)
    }
    await this.#run('sync', ['-f', '.'], workPath)
    const keepOthers = ground.mode === 'merge'
    const forbiddenRoots = await this.#options.forbiddenRoots()
    inSwapFolder(ground.swap, forbiddenRoots, (swap) => prepareSwap(swap, keepOthers))
    const result: JsonObject = {
      target: this.#wish.targetPath,
      mode: ground.mode,
      files: extracted.fileCount,
      links: extracted.linkCount,
      directories: extracted.directoryCount,
      bytes: extracted.contentBytes,
      keptFiles: keptCount,
      manifest: staged.matchedManifest ? 'matched' : 'missing',
    }
    const ready: RestoreCheckpoint = {
      version: 1,
      step: 'ready',
      swap: ground.swap,
      madeParent: ground.madeParent,
      bootId: this.#bootId,
      tarOffset: extracted.tarBytes,
      itemCount: extracted.fileCount + extracted.linkCount,
      contentBytes: extracted.contentBytes,
      result,
    }
    await this.#context.saveCheckpoint(toJson(ready))
    return ready
  }

  async #swap(ready: RestoreCheckpoint): Promise<EngineResult> {
    this.#reportSwapping(ready.itemCount)
    try {
      await this.#assertPlace(ready.swap.target)
      const forbiddenRoots = await this.#options.forbiddenRoots()
      await this.#context.assertCurrent()
      inSwapFolder(ready.swap, forbiddenRoots, (swap) => {
        try {
          swapIn(swap, this.#options.onSwapStep)
        } catch (error) {
          swapBack(swap)
          throw error
        }
      })
    } catch (error) {
      throw await this.#giveUp(error, ready)
    }
    const swapped: RestoreCheckpoint = { ...ready, step: 'swapped' }
    await this.#context.saveCheckpoint(toJson(swapped))
    return this.#finish(swapped)
  }

  /** The target is new: nothing stops this any more, since nothing can take it back. */
  async #finish(swapped: RestoreCheckpoint): Promise<EngineResult> {
    this.#reportSwapping(swapped.itemCount)
    await this.#removeOwn(swapped.swap)
    return { result: swapped.result ?? {} }
  }

  #reportSwapping(itemCount: number): void {
    const { tarBytes } = parseDetails(this.#snapshot)
    this.#context.report({
      phase: 'swapping',
      bytesDone: tarBytes,
      bytesTotal: tarBytes,
      itemsDone: itemCount,
      itemsTotal: itemCount,
      currentItem: null,
    })
  }

  async #setXattrs(workPath: string): Promise<void> {
    const failure = await this.#run('setfattr', ['-h', '--restore=xattrs'], workPath)
    if (failure === null) return
    this.#context.warn({
      code: 'xattr_lost',
      message: `extended attributes could not be restored: ${failure}`,
      item: null,
    })
  }

  /** Answers why a command failed, or `null`. */
  async #run(command: string, args: readonly string[], cwd: string): Promise<string | null> {
    const { signal } = this.#context
    const running = startCommand(command, args, { signal, env: COMMAND_ENV, cwd })
    try {
      for await (const _line of running.lines) {
        // It prints nothing that is needed.
      }
      const { exitCode, stderrTail } = await running.exit
      signal.throwIfAborted()
      if (exitCode === 0) return null
      return `${command} ended with code ${exitCode}: ${stderrTail.split('\n')[0] ?? ''}`
    } catch (error) {
      if (systemCodeOf(error) === 'ENOENT') return `${command} is not installed`
      throw error
    }
  }

  /** What is there of a run that was stopped is gone on with, or discarded. */
  async #stopped(ground: Ground | null): Promise<unknown> {
    const { reason } = this.#context.signal
    const lost = reason instanceof StopRequest && reason.why === 'lease_lost'
    // Another run works apart from this one, and nobody else will remove it.
    if (lost && ground !== null) await this.#removeWork(ground.swap.work)
    return reason
  }

  /** The directories of other attempts too, where nobody can be at work in them. */
  async #removeOwn(swap: Swap): Promise<void> {
    if (!this.#context.predecessorEnded) await this.#removeWork(swap.work)
    else await removeWork(this.#options.threads, this.#task.operationId, swap.target)
  }

  async #removeWork(work: string): Promise<void> {
    // Nothing may stop this: what is left would be left for good.
    const never = new AbortController().signal
    await this.#options.threads.run({ kind: 'remove', path: work }, never)
  }

  /** Removes all that this run made, and answers the failure in words. */
  async #giveUp(
    error: unknown,
    made: Pick<RestoreCheckpoint, 'swap' | 'madeParent'> | null,
  ): Promise<unknown> {
    const folder = dirname(made?.swap.target ?? this.#wish.targetPath)
    const explained = await explainOutOfRoom(error, folder, this.#snapshot.contentBytes)
    try {
      if (made !== null) await this.#removeOwn(made.swap)
      if (made?.madeParent != null) await removeEmptyParents(folder, made.madeParent)
    } catch {
      // The discard of this operation tries again; the first failure is the one to tell.
    }
    return explainTarget(explained, this.#wish.targetPath)
  }
}
