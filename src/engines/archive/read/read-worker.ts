import { parentPort } from 'node:worker_threads'
import { AppError } from '../../../core/errors.ts'
import { hashArchive } from './archive-hash.ts'
import { buildIndex } from './browse-build.ts'
import { compareFolder } from './compare-scan.ts'
import { extract } from './extract.ts'
import { mergeExisting, removeTree } from './merge.ts'
import { proveArchive } from './prove.ts'
import type { ReadAnswer, ReadJob, ReadRequest } from './read-pool.ts'
import { planArchive } from './restore-plan.ts'
import { SharedProgress, WorkStopped } from './shared-progress.ts'
import { verifyArchive } from './verify-scan.ts'

// A pooled thread that reads archives by synchronous calls: one job at a time.

function work(job: ReadJob, progress: SharedProgress): unknown {
  switch (job.kind) {
    case 'hash':
      return hashArchive(job, progress)
    case 'plan':
      return planArchive(job, progress)
    case 'prove':
      return proveArchive(job, progress)
    case 'extract':
      return extract(job, progress)
    case 'merge':
      return mergeExisting(job, progress)
    case 'remove':
      return removeTree(job, progress)
    case 'verify':
      return verifyArchive(job, progress)
    case 'compare':
      return compareFolder(job, progress)
    case 'index':
      return buildIndex(job, progress)
  }
}

function toAnswer(error: unknown): ReadAnswer {
  if (error instanceof WorkStopped) return { kind: 'stopped' }
  if (error instanceof AppError) {
    const { code, message, details } = error
    return { kind: 'refused', code, message, details, cause: String(error.cause ?? '') }
  }
  const { message, code, stack } = error as NodeJS.ErrnoException
  return { kind: 'broken', message, code: code ?? null, stack: stack ?? null }
}

async function answer({ job, memory }: ReadRequest): Promise<ReadAnswer> {
  try {
    return { kind: 'done', result: await work(job, new SharedProgress(memory)) }
  } catch (error) {
    return toAnswer(error)
  }
}

parentPort?.on('message', (request: ReadRequest) => {
  void answer(request).then((said) => parentPort?.postMessage(said))
})
