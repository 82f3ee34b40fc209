import { parentPort } from 'node:worker_threads'
import { DigestStage, type DigestStageInput } from './digest-stage.ts'
import { PackStage, type PackStageInput } from './pack-stage.ts'
import { ReadStage, type ReadStageInput } from './read-stage.ts'
import { type ScanStageInput, scanTree } from './scan-stage.ts'
import { WriteStage, type WriteStageInput } from './write-stage.ts'

// The file that a thread of threads.ts runs: one stage after the other, each by synchronous calls.

type Say = (news: unknown) => void

const STAGES = {
  scan: (input: ScanStageInput) => scanTree(input),
  read: (input: ReadStageInput, say: Say) => new ReadStage(input, say).run(),
  digest: (input: DigestStageInput, say: Say) => new DigestStage(input, say).run(),
  write: (input: WriteStageInput, say: Say) => new WriteStage(input, say).run(),
  pack: (input: PackStageInput) => new PackStage(input).run(),
}

export type StageName = keyof typeof STAGES

export type StageInput<Name extends StageName> = Parameters<(typeof STAGES)[Name]>[0]

export type StageResult<Name extends StageName> = ReturnType<(typeof STAGES)[Name]>

export interface StageFailure {
  readonly name: string
  readonly message: string
  readonly stack: string
  /** Of a failed file call, such as `ENOSPC`. */
  readonly errno: string | null
}

const toFailure = (error: unknown): StageFailure => {
  const known = error instanceof Error ? error : new Error(String(error))
  const { code } = known as NodeJS.ErrnoException
  return {
    name: known.name,
    message: known.message,
    stack: known.stack ?? '',
    errno: typeof code === 'string' ? code : null,
  }
}

const port = parentPort
port?.on('message', ({ stage, input }: { stage: StageName; input: unknown }) => {
  const run = STAGES[stage] as (input: unknown, say: Say) => unknown
  try {
    const result = run(input, (news) => port.postMessage({ is: 'news', news }))
    port.postMessage({ is: 'done', result })
  } catch (error) {
    port.postMessage({ is: 'failed', failure: toFailure(error) })
  }
})
