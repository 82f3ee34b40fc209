import {
  appendFileSync,
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { argv } from 'node:process'
import { createWorld, recordRun } from './backup.test-support.ts'
import { Threads } from './threads.ts'

// One run of a backup as a worker would make it: its checkpoint lies in a file, and it may be killed at any time.

const [, , folder = '', compression = 'none', attempt = '1', predecessor = 'ended'] = argv

function save(name: string, value: unknown): void {
  const path = join(folder, name)
  const fd = openSync(`${path}.new`, 'w')
  writeSync(fd, JSON.stringify(value))
  fsyncSync(fd)
  closeSync(fd)
  renameSync(`${path}.new`, path)
}

const note = (line: object): void =>
  appendFileSync(join(folder, 'history'), `${JSON.stringify({ attempt, ...line })}\n`)

const checkpointPath = join(folder, 'checkpoint.json')
const threads = new Threads()
const world = createWorld(threads, { folder, checkpointIntervalMs: 10 })
const run = recordRun({
  checkpoint: existsSync(checkpointPath) ? JSON.parse(readFileSync(checkpointPath, 'utf8')) : null,
  predecessorEnded: predecessor === 'ended',
  onCheckpoint: (checkpoint) => {
    save('checkpoint.json', checkpoint)
    const { phase, position } = JSON.parse(JSON.stringify(checkpoint))
    note({ saved: phase, inFile: position?.open?.path ?? null, bytes: position?.bytesDone ?? null })
  },
  onResumed: (bytes) => note({ resumedFrom: bytes }),
})
const result = await world.engine.run(world.task({ compression }, Number(attempt)), run.context)
save('result.json', result)
await threads.close()
