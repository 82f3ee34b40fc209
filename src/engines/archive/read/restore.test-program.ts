import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { argv, kill, pid } from 'node:process'
import type { JsonObject } from '../../../core/json.ts'
import { LocalPool } from '../../../pools/local.ts'
import type { EngineTask } from '../../engine.ts'
import { RecordingContext } from '../archive.fixture.ts'
import { ReadPool } from './read-pool.ts'
import { RestoreArchive } from './restore.ts'

/** Runs one restore in a process of its own, which ends itself with SIGKILL at a step. */
export interface RestoreProgram {
  readonly poolRoot: string
  readonly task: EngineTask
  readonly checkpointFile: string
  /** The name of a step, such as `swap:before-new` or `saved:ready`; the empty one is never met. */
  readonly killAt: string
}

const program: RestoreProgram = JSON.parse(readFileSync(argv[2] ?? '', 'utf8'))

const step = (name: string): void => {
  if (name === program.killAt) kill(pid, 'SIGKILL')
}

const checkpoint: JsonObject | null = existsSync(program.checkpointFile)
  ? JSON.parse(readFileSync(program.checkpointFile, 'utf8'))
  : null
const context = new RecordingContext(checkpoint)
context.onReport = ({ phase, itemsDone }) => step(`${phase}:${itemsDone > 0 ? 'some' : 'none'}`)
context.onSave = (saved) => {
  step(`saving:${saved['step']}`)
  writeFileSync(program.checkpointFile, JSON.stringify(saved))
  step(`saved:${saved['step']}`)
}
const pool = new LocalPool({ id: 'local', root: program.poolRoot })
const engine = new RestoreArchive({
  pools: { open: async () => pool },
  threads: new ReadPool(),
  forbiddenRoots: async () => [],
  checkpointIntervalMs: 1,
  progressIntervalMs: 1,
  onSwapStep: (name) => step(`swap:${name}`),
})
await engine.run(program.task, context)
