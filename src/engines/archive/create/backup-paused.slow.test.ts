import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  appendFileSync,
  createReadStream,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, suite, test } from 'node:test'
import type { JsonObject } from '../../../core/json.ts'
import type { EngineResult } from '../../engine.ts'
import type { ManifestEntry } from '../format/manifest.ts'
import { readManifest } from '../format/manifest-file.ts'
import { type BackupWorld, createWorld, recordRun } from './backup.test-support.ts'
import { Threads } from './threads.ts'

const threads = new Threads()
after(() => threads.close())

async function inWorld(run: (world: BackupWorld) => Promise<void>, options = {}): Promise<void> {
  const world = createWorld(threads, options)
  try {
    await run(world)
  } finally {
    world.close()
  }
}

const archiveOf = (world: BackupWorld, result: EngineResult): string =>
  join(world.poolRoot, result.snapshot?.key ?? '')

async function entriesOf(world: BackupWorld, result: EngineResult): Promise<ManifestEntry[]> {
  const key = String(result.snapshot?.details['manifestKey'])
  const entries: ManifestEntry[] = []
  // Readers refuse a manifest of another size than was recorded.
  assert.equal(statSync(join(world.poolRoot, key)).size, result.snapshot?.details['manifestBytes'])
  for await (const line of readManifest(createReadStream(join(world.poolRoot, key)))) {
    if (line.line === 'entry') entries.push(line)
  }
  return entries
}

const tarDiff = (world: BackupWorld, result: EngineResult): string =>
  execFileSync('tar', ['-df', archiveOf(world, result), '-C', world.tree], {
    stdio: ['ignore', 'pipe', 'ignore'],
  }).toString()

/** Stops a run at its first checkpoint; answers the checkpoint. */
async function pauseEarly(world: BackupWorld, input?: JsonObject): Promise<JsonObject> {
  const run = recordRun({
    onReport: ({ phase, bytesDone }, { stop }) => {
      // Threads that are new take a while to begin: by then it is in the middle of the big file.
      if (phase === 'archiving' && bytesDone > 1024) stop('pause')
    },
  })
  await assert.rejects(world.engine.run(world.task(input), run.context), { name: 'StopRequest' })
  const checkpoint = run.checkpoints.at(-1)
  assert.ok(checkpoint, 'a paused run leaves a checkpoint')
  return checkpoint
}

const BIG = 400 * 1024 * 1024
const bigPart = randomBytes(BIG / 25)
const writeBig = (path: string): void =>
  writeFileSync(path, Buffer.concat(Array.from({ length: 25 }, () => bigPart)))

const openFileOf = (checkpoint: JsonObject): { done: number } | null =>
  (checkpoint['position'] as unknown as { open: { done: number } | null }).open

suite('a paused backup', () => {
  for (const compression of ['none', 'zstd'] as const) {
    for (const change of ['nothing', 'growth', 'replacement', 'loss']) {
      test(`goes on after ${change} of the open file to a valid archive (${compression})`, () =>
        inWorld(async (world) => {
          const big = join(world.tree, 'm-big')
          writeFileSync(join(world.tree, 'a'), 'before')
          writeFileSync(join(world.tree, 'z'), 'behind')
          writeBig(big)
          const checkpoint = await pauseEarly(world, { compression })
          const open = openFileOf(checkpoint)
          assert.ok(open !== null && open.done > 0, 'it was stopped in the middle of the file')
          if (change === 'growth') appendFileSync(big, 'more')
          if (change === 'loss') rmSync(big)
          if (change === 'replacement') {
            writeFileSync(join(world.tree, 'new'), 'small')
            renameSync(join(world.tree, 'new'), big)
          }
          const run = recordRun({ checkpoint })
          const result = await world.engine.run(world.task({ compression }, 2), run.context)
          assert.equal(tarDiff(world, result), '')
          const bytes = change === 'nothing' ? open.done + 6 : 6
          assert.deepEqual(run.resumed, [bytes])
          const entries = await entriesOf(world, result)
          const names = change === 'loss' ? ['.', 'a', 'z'] : ['.', 'a', 'm-big', 'z']
          assert.deepEqual(
            entries.map(({ path }) => path),
            names,
          )
          const hash = entries.find(({ path }) => path === 'm-big')?.sha256
          const sum = (path: string): string =>
            execFileSync('sha256sum', [path]).toString().slice(0, 64)
          if (change !== 'loss') assert.equal(hash, sum(big))
        }))
    }
  }

  test('is made anew where its staged bytes were damaged meanwhile', () =>
    inWorld(async (world) => {
      writeBig(join(world.tree, 'big'))
      const checkpoint = await pauseEarly(world)
      const staging = join(world.poolRoot, '.staging')
      const archive = readdirSync(staging).find((name) => name.endsWith('.archive')) ?? ''
      const bytes = readFileSync(join(staging, archive))
      bytes[5000] = (bytes[5000] ?? 0) ^ 1
      writeFileSync(join(staging, archive), bytes)
      const run = recordRun({ checkpoint })
      const result = await world.engine.run(world.task(undefined, 2), run.context)
      assert.equal(tarDiff(world, result), '')
      assert.deepEqual(run.resumed, [])
    }))
})
