import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeEngine } from '../engines/engine.contract.ts'
import type { EngineTask } from '../engines/engine.ts'
import { CountingEngine } from './counting-engine.test-support.ts'

// The engine of these tests is held to the same promises as the real ones, and
// the suite of promises is shown to pass on something this small.
describeEngine('the counting engine', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-counting-'))
  const names = async (end: string) =>
    (await readdir(folder)).filter((name) => name.endsWith(end)).sort()
  return {
    engine: new CountingEngine(folder),
    task: (operationId, attempt): EngineTask => ({
      operationId,
      accountId: 'ann',
      kind: 'custom',
      input: { count: 6, stepMs: 1, checkpointEvery: 2 },
      source: null,
      snapshot: null,
      poolId: null,
      attempt,
    }),
    published: async () => (await names('.done')).join(),
    leftovers: () => names('.part'),
    outcome: ({ result }) => readFile(join(folder, String(result['file'])), 'utf8'),
    close: () => rm(folder, { recursive: true, force: true }),
  }
})
