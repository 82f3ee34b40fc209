import { join } from 'node:path'
import { after } from 'node:test'
import { describeEngine } from '../../engine.contract.ts'
import {
  look,
  makeHome,
  makeTar,
  makeTask,
  RecordingContext,
  ROOT,
  storeArchive,
} from '../archive.fixture.ts'
import { ReadPool } from './read-pool.ts'
import { RestoreArchive } from './restore.ts'
import { VerifyArchive } from './verify.ts'

const threads = new ReadPool()
after(() => threads.close())

const content = Buffer.alloc(100_000, 'a line of text\n')

/** Long enough to be stopped in the middle. */
const FIXTURE = makeTar([
  ROOT,
  ...Array.from({ length: 200 }, (_, index) => ({
    name: `file-${String(index).padStart(3, '0')}`,
    content: Buffer.concat([content, Buffer.from(String(index))]),
  })),
])

describeEngine(
  'verify:archive of a folder',
  async () => {
    const home = await makeHome()
    const snapshot = await storeArchive(home, FIXTURE)
    const path = join(home.root, 'target')
    const options = { pools: home.pools, threads, forbiddenRoots: async () => [] }
    const input = { target: { path } }
    const restore = new RestoreArchive(options)
    await restore.run(makeTask('restore', snapshot, input), new RecordingContext())
    return {
      engine: new VerifyArchive({ ...options, progressIntervalMs: 1, sliceMs: 5 }),
      task: (operationId, attempt) => makeTask('verify', snapshot, input, { operationId, attempt }),
      published: async () => look(home.root).join('\n'),
      leftovers: async () => [],
      outcome: async ({ result, verifiedWell }) => JSON.stringify([result, verifiedWell ?? null]),
      close: () => home.remove(),
    }
  },
  { publishes: false },
)
