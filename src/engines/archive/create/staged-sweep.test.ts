import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { LocalPool } from '../../../pools/local.ts'
import { sweepStaged } from './staged-sweep.ts'

let root: string
let pool: LocalPool

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'holdfast-sweep-'))
  pool = new LocalPool({ id: 'local', root })
})
afterEach(() => rmSync(root, { recursive: true }))

async function namesLeft(): Promise<string[]> {
  const names: string[] = []
  for await (const { name } of pool.staged()) names.push(name)
  return names.sort()
}

const isOver = async (id: string) => id.startsWith('ended')

test('removes what ended operations left, of every attempt, and nothing else', async () => {
  const left = ['running-1.archive', 'health-77', 'ended.archive', 'ended-x.manifest', 'other']
  const over = ['ended-1.archive', 'ended-1.manifest', 'ended-2.archive', 'ended-3.archive.copy']
  for (const name of [...left, ...over]) writeFileSync(await pool.stage(name), 'x')
  assert.equal(await sweepStaged(pool, { isOver, unchangedSinceMs: null }), over.length)
  assert.deepEqual(await namesLeft(), [...left].sort())
})

test('leaves what somebody may still be writing', async () => {
  for (const name of ['ended-1.archive', 'ended-2.archive']) {
    const path = await pool.stage(name)
    writeFileSync(path, 'x')
    const seconds = name === 'ended-1.archive' ? 1_000 : 2_000
    utimesSync(path, seconds, seconds)
  }
  assert.equal(await sweepStaged(pool, { isOver, unchangedSinceMs: 1_500_000 }), 1)
  assert.deepEqual(await namesLeft(), ['ended-2.archive'])
})

test('finds nothing in a pool that was never written to', async () => {
  assert.equal(await sweepStaged(pool, { isOver, unchangedSinceMs: null }), 0)
})
