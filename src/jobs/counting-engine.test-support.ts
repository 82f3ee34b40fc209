import { copyFile, mkdir, open, readdir, readFile, rename, rm, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '../core/errors.ts'
import type { JsonObject } from '../core/json.ts'
import type { Engine, EngineContext, EngineResult, EngineTask } from '../engines/engine.ts'

/** Each step writes this many bytes. */
export const STEP_BYTES = 100

/** How a task is to go, as its input says. */
interface Steps {
  readonly count: number
  readonly stepMs: number
  readonly checkpointEvery: number
  readonly failAtStep: number | null
  readonly warnEvery: number | null
  readonly ignoresStop: boolean
  readonly subject: string | null
}

function parseSteps(input: JsonObject): Steps {
  const number = (name: string) => (typeof input[name] === 'number' ? input[name] : null)
  return {
    count: number('count') ?? 5,
    stepMs: number('stepMs') ?? 0,
    checkpointEvery: number('checkpointEvery') ?? 1,
    failAtStep: number('failAtStep'),
    warnEvery: number('warnEvery'),
    ignoresStop: input['ignoresStop'] === true,
    subject: typeof input['subject'] === 'string' ? input['subject'] : null,
  }
}

export interface CountingHooks {
  onRun?(task: EngineTask, context: EngineContext): void
  onStep?(task: EngineTask, step: number): void | Promise<void>
  onPublished?(task: EngineTask): void | Promise<void>
  onDiscard?(task: EngineTask, checkpoint: JsonObject | null): void | Promise<void>
}

/**
 * A small engine that does real work: it writes numbered lines to a file, saves
 * how far it came, and publishes the file by a rename. `<id>-<attempt>.part`
 * is half-made, `<id>-<attempt>.done` is a result.
 */
export class CountingEngine implements Engine {
  readonly folder: string
  readonly #hooks: CountingHooks

  constructor(folder: string, hooks: CountingHooks = {}) {
    this.folder = folder
    this.#hooks = hooks
  }

  subjects(task: EngineTask): readonly string[] {
    const { subject } = parseSteps(task.input)
    return [
      ...(task.source === null ? [] : [`source:${task.source.id}`]),
      ...(subject === null ? [] : [subject]),
    ]
  }

  async check(task: EngineTask): Promise<void> {
    if (task.input['refuse'] === true) throw new AppError('invalid', 'told to refuse')
  }

  async run(task: EngineTask, context: EngineContext): Promise<EngineResult> {
    this.#hooks.onRun?.(task, context)
    const steps = parseSteps(task.input)
    context.signal.throwIfAborted()
    await mkdir(this.folder, { recursive: true })
    let done = await this.#takeOver(task, context)
    while (done < steps.count) {
      await this.#hooks.onStep?.(task, done)
      if (done === steps.failAtStep) throw new AppError('damaged', `told to fail at step ${done}`)
      await this.#writeStep(task, done)
      done += 1
      this.#say(steps, done, context)
      if (done % steps.checkpointEvery === 0) await context.saveCheckpoint(this.#mark(task, done))
      await this.#pauseBetween(steps, task, done, context)
    }
    await context.assertCurrent()
    await rename(this.#part(task), join(this.folder, doneName(task)))
    await this.#hooks.onPublished?.(task)
    return this.#result(task, done)
  }

  async discard(task: EngineTask, checkpoint: JsonObject | null): Promise<void> {
    await this.#hooks.onDiscard?.(task, checkpoint)
    for (const name of await readdir(this.folder).catch(() => [])) {
      const isOwn = name.startsWith(`${task.operationId}-`) && name.endsWith('.part')
      if (isOwn) await rm(join(this.folder, name), { force: true })
    }
  }

  async #takeOver(task: EngineTask, context: EngineContext): Promise<number> {
    const { checkpoint, predecessorEnded } = context
    const file = this.#part(task)
    const done = typeof checkpoint?.['done'] === 'number' ? checkpoint['done'] : 0
    const from = join(this.folder, String(checkpoint?.['part']))
    const isThere = checkpoint !== null && (await readFile(from).catch(() => null)) !== null
    if (!isThere) {
      await (await open(file, 'w')).close()
      return 0
    }
    if (from !== file) await (predecessorEnded ? rename(from, file) : copyFile(from, file))
    await truncate(file, done * STEP_BYTES)
    context.resumedFrom(done * STEP_BYTES)
    return done
  }

  async #writeStep(task: EngineTask, step: number): Promise<void> {
    const handle = await open(this.#part(task), 'a')
    await handle.write(`${`step ${step}`.padEnd(STEP_BYTES - 1, '.')}\n`)
    await handle.close()
  }

  #say(steps: Steps, done: number, context: EngineContext): void {
    context.report({
      phase: done * 2 <= steps.count ? 'first half' : 'second half',
      bytesDone: done * STEP_BYTES,
      bytesTotal: steps.count * STEP_BYTES,
      itemsDone: done,
      itemsTotal: steps.count,
      currentItem: `step ${done}`,
    })
    if (steps.warnEvery !== null && done % steps.warnEvery === 0) {
      context.warn({ code: 'odd', message: `step ${done} is odd`, item: String(done) })
    }
  }

  async #pauseBetween(
    steps: Steps,
    task: EngineTask,
    done: number,
    context: EngineContext,
  ): Promise<void> {
    const { signal } = context
    if (steps.stepMs > 0) {
      const stop = steps.ignoresStop ? {} : { signal }
      await sleep(steps.stepMs, undefined, stop).catch(() => {
        // Stopped: the next lines leave a checkpoint first.
      })
    }
    if (steps.ignoresStop || !signal.aborted) return
    await context.saveCheckpoint(this.#mark(task, done))
    signal.throwIfAborted()
  }

  #result(task: EngineTask, done: number): EngineResult {
    const result = { steps: done, file: doneName(task), attempt: task.attempt }
    if (task.kind === 'verify') return { result, verifiedWell: task.input['well'] !== false }
    if (task.kind !== 'backup') return { result }
    const bytes = done * STEP_BYTES
    const snapshot = {
      poolId: task.poolId ?? 'local',
      format: 'counting',
      // What no record can hold: an engine with a bug.
      key: task.input['badKey'] === true ? (null as unknown as string) : doneName(task),
      bytes,
      contentBytes: bytes,
      itemCount: done,
      sha256: '00'.repeat(32),
      details: {},
    }
    return { result, snapshot }
  }

  #mark(task: EngineTask, done: number): JsonObject {
    return { done, part: partName(task) }
  }

  #part(task: EngineTask): string {
    return join(this.folder, partName(task))
  }
}

const partName = (task: EngineTask) => `${task.operationId}-${task.attempt}.part`
const doneName = (task: EngineTask) => `${task.operationId}-${task.attempt}.done`
