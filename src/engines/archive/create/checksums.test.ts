import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { appendFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, beforeEach, test } from 'node:test'
import type { EngineResult } from '../../engine.ts'
import { COMPRESSIONS } from '../format/manifest.ts'
import { type BackupWorld, createWorld, recordRun } from './backup.test-support.ts'
import { Threads } from './threads.ts'

const threads = new Threads()
let world: BackupWorld

beforeEach(() => {
  world = createWorld(threads)
  writeFileSync(join(world.tree, 'a'), 'before')
})
afterEach(() => world.close())
after(() => threads.close())

/** What the tool of the system says of the archive. */
const sumOf = (result: EngineResult): string =>
  execFileSync('sha1sum', [join(world.poolRoot, result.snapshot?.key ?? '')])
    .toString()
    .slice(0, 40)

for (const compression of COMPRESSIONS) {
  test(`the SHA-1 of a ${compression} archive is told where it is asked for`, async () => {
    writeFileSync(join(world.tree, 'noise'), randomBytes(9_000_000))
    const asked = { compression, checksums: ['sha1'] }
    const made = await world.engine.run(world.task(asked), recordRun().context)
    assert.match(sumOf(made), /^[0-9a-f]{40}$/)
    assert.equal(made.result['sha1'], sumOf(made))
    const plain = await world.engine.run(world.task({ compression }, 2), recordRun().context)
    assert.equal('sha1' in plain.result, false)
  })

  for (const change of compression === 'gzip' ? [] : ['nothing', 'growth']) {
    test(`it is right after a pause and ${change} of the open file (${compression})`, async () => {
      const big = join(world.tree, 'big')
      const part = randomBytes(16 * 1024 * 1024)
      writeFileSync(big, Buffer.concat(Array.from({ length: 24 }, () => part)))
      const input = { compression, checksums: ['sha1'] }
      const paused = recordRun({
        onReport: ({ phase }, { stop }) => {
          if (phase === 'archiving') stop('pause')
        },
      })
      await assert.rejects(world.engine.run(world.task(input), paused.context))
      const checkpoint = paused.checkpoints.at(-1)
      assert.ok(checkpoint !== undefined)
      if (change === 'growth') appendFileSync(big, 'more')
      const run = recordRun({ checkpoint })
      const made = await world.engine.run(world.task(input, 2), run.context)
      assert.equal(run.resumed.length, 1)
      assert.equal(made.result['sha1'], sumOf(made))
    })
  }
}

test('refuses checksums that it cannot make', async () => {
  for (const checksums of ['sha1', ['md5'], [5]]) {
    const refused = { name: 'AppError', code: 'invalid', message: /checksums is a list/ }
    await assert.rejects(world.engine.check(world.task({ checksums })), refused)
  }
  await world.engine.check(world.task({ checksums: ['sha1', 'sha256'] }))
})
