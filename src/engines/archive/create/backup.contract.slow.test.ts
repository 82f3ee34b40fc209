import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after } from 'node:test'
import { describeEngine } from '../../engine.contract.ts'
import { createWorld } from './backup.test-support.ts'
import { Threads } from './threads.ts'

const threads = new Threads()
after(() => threads.close())

const bytes = randomBytes(1024 * 1024)

for (const compression of ['none', 'zstd'] as const) {
  describeEngine(`backup:directory (${compression})`, async () => {
    const world = createWorld(threads)
    for (let index = 0; index < 100; index += 1) {
      bytes.writeUInt32LE(index)
      writeFileSync(join(world.tree, `file-${index}`), bytes)
    }
    const filesIn = (folder: string): string[] =>
      readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name))
        .sort()
    const isStaged = (path: string): boolean => path.includes('/.staging/')
    return {
      engine: world.engine,
      task: (operationId, attempt) => ({
        ...world.task({ compression }, attempt),
        operationId,
      }),
      published: async () =>
        filesIn(world.folder)
          .filter((path) => path.includes('/archives/'))
          .join('\n'),
      leftovers: async () => filesIn(world.folder).filter(isStaged),
      outcome: async (result) => {
        const key = result.snapshot?.key ?? ''
        const unpack = compression === 'none' ? 'cat' : 'zstd -dc'
        const script = `${unpack} "$1" | sha256sum`
        const { stdout } = spawnSync('sh', ['-c', script, 'sh', join(world.poolRoot, key)])
        readFileSync(join(world.poolRoot, String(result.snapshot?.details['manifestKey'])))
        return stdout.toString()
      },
      close: async () => world.close(),
    }
  })
}
