import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after } from 'node:test'
import { describeEngine } from '../../engine.contract.ts'
import { makeHome, makeTar, makeTask, ROOT, sha256Of, storeArchive } from '../archive.fixture.ts'
import type { Compression } from '../format/manifest.ts'
import { ReadPool } from './read-pool.ts'
import { RestoreArchive } from './restore.ts'
import { VerifyArchive } from './verify.ts'

const threads = new ReadPool()
after(() => threads.close())

const content = Buffer.alloc(200_000, 'a line of text\n')

/** Long enough to be stopped in the middle. */
const FIXTURE = makeTar([
  ROOT,
  ...Array.from({ length: 300 }, (_, index) => ({
    name: `file-${String(index).padStart(3, '0')}`,
    content: Buffer.concat([content, Buffer.from(String(index))]),
  })),
])

async function makeWorld(compression: Compression) {
  const home = await makeHome()
  const snapshot = await storeArchive(home, FIXTURE, { compression, frameBytes: 1_000_000 })
  return { home, snapshot, options: { pools: home.pools, threads, progressIntervalMs: 1 } }
}

const contentOf = (folder: string): string =>
  readdirSync(folder)
    .sort()
    .map((name) => `${name} ${sha256Of(readFileSync(join(folder, name)))}`)
    .join('\n')

for (const compression of ['none', 'zstd'] as const) {
  for (const mode of ['merge', 'replace'] as const) {
    describeEngine(`restore:archive (${compression}, ${mode})`, async () => {
      const { home, snapshot, options } = await makeWorld(compression)
      const path = join(home.root, 'target')
      const reset = async () => {
        rmSync(path, { recursive: true, force: true })
        mkdirSync(path)
        writeFileSync(join(path, 'own'), 'own')
      }
      await reset()
      const input = { target: { path }, mode }
      return {
        engine: new RestoreArchive({ ...options, forbiddenRoots: async () => [] }),
        task: (operationId, attempt) =>
          makeTask('restore', snapshot, input, { operationId, attempt }),
        published: async () => contentOf(path),
        leftovers: async () => readdirSync(home.root).filter((name) => name.startsWith('.')),
        outcome: async () => contentOf(path),
        reset,
        close: () => home.remove(),
      }
    })
  }
}

describeEngine(
  'verify:archive',
  async () => {
    const { home, snapshot, options } = await makeWorld('gzip')
    return {
      engine: new VerifyArchive({ ...options, forbiddenRoots: async () => [] }),
      task: (operationId, attempt) => makeTask('verify', snapshot, {}, { operationId, attempt }),
      published: async () => '',
      leftovers: async () => [],
      outcome: async ({ result, verifiedWell }) => JSON.stringify([result, verifiedWell]),
      close: () => home.remove(),
    }
  },
  { publishes: false, resumes: false },
)
