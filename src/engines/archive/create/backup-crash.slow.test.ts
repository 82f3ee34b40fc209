import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { randomBytes, randomInt } from 'node:crypto'
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execPath } from 'node:process'
import { suite, test } from 'node:test'
import { setTimeout as pass } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const PROGRAM = fileURLToPath(new URL('./backup-run.test-program.ts', import.meta.url))
const KILLS = 10
const BIG_BYTES = 320 * 1024 * 1024
const LOOK_MS = 5

function makeTree(folder: string): string {
  const tree = join(folder, 'tree')
  mkdirSync(join(tree, 'many', 'empty'), { recursive: true })
  const bytes = randomBytes(64 * 1024)
  for (let index = 0; index < 3000; index += 1) {
    writeFileSync(join(tree, 'many', `file-${index}`), bytes.subarray(0, randomInt(bytes.length)))
  }
  for (let index = 0; index < 200; index += 1) {
    linkSync(join(tree, 'many', `file-${index * 7}`), join(tree, 'many', `link-${index}`))
  }
  const part = randomBytes(BIG_BYTES / 20)
  writeFileSync(join(tree, 'big'), Buffer.concat(Array.from({ length: 20 }, () => part)))
  writeFileSync(join(tree, 'zzz'), 'the last')
  return tree
}

interface Note {
  readonly attempt: string
  readonly saved?: string
  readonly inFile?: string | null
  readonly resumedFrom?: number
}

function historyOf(folder: string): Note[] {
  const path = join(folder, 'history')
  if (!existsSync(path)) return []
  const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1)
  return lines.map((line) => JSON.parse(line))
}

/** Runs the program; kills it once it has saved some checkpoints. Answers whether it came to its end. */
async function runOnce(
  folder: string,
  args: readonly string[],
  killAtCheckpoint: number,
): Promise<boolean> {
  const child = spawn(execPath, [PROGRAM, folder, ...args], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  let code: number | null | undefined
  child.once('exit', (exitCode) => {
    code = exitCode
  })
  const saved = (): number =>
    historyOf(folder).filter((note) => note.attempt === args[1] && note.saved !== undefined).length
  while (code === undefined) {
    await pass(LOOK_MS)
    if (saved() < killAtCheckpoint) continue
    await pass(randomInt(60))
    child.kill('SIGKILL')
    while (code === undefined) await pass(LOOK_MS)
  }
  return code === 0
}

function unpacked(folder: string, compression: string): string {
  const { snapshot } = JSON.parse(readFileSync(join(folder, 'result.json'), 'utf8'))
  const archive = join(folder, 'pool', snapshot.key)
  const unpack = compression === 'none' ? 'cat' : `${compression} -dc`
  return execFileSync('sh', ['-c', `${unpack} "$1" | sha256sum`, 'sh', archive]).toString()
}

async function killAndFinish(folder: string, compression: string, predecessor: string) {
  for (let attempt = 1; attempt <= KILLS; attempt += 1) {
    const args = [compression, String(attempt), predecessor]
    if (await runOnce(folder, args, randomInt(1, 4))) return
  }
  const last = [compression, String(KILLS + 1), predecessor]
  assert.equal(await runOnce(folder, last, Number.POSITIVE_INFINITY), true)
}

function checkArchive(folder: string, tree: string): void {
  const { snapshot } = JSON.parse(readFileSync(join(folder, 'result.json'), 'utf8'))
  const archive = join(folder, 'pool', snapshot.key)
  assert.equal(execFileSync('sha256sum', [archive]).toString().slice(0, 64), snapshot.sha256)
  assert.equal(execFileSync('tar', ['-df', archive, '-C', tree]).toString(), '')
}

const CASES = [
  ['none', 'ended'],
  ['none', 'unknown'],
  ['zstd', 'ended'],
  ['zstd', 'unknown'],
  ['gzip', 'ended'],
] as const

const hasResumed = (folder: string): boolean =>
  historyOf(folder).some((note) => (note.resumedFrom ?? 0) > 0)

suite('a backup that is killed again and again', () => {
  for (const [compression, predecessor] of CASES) {
    const which = predecessor === 'ended' ? 'in place' : 'beside a run that may still be at work'
    test(`goes on ${which} to the archive it would have been (${compression})`, async () => {
      let folder = mkdtempSync(join(tmpdir(), 'holdfast-crash-'))
      try {
        let tree = makeTree(folder)
        await killAndFinish(folder, compression, predecessor)
        // The moments are drawn: where every kill came before a checkpoint, they are drawn anew.
        for (let round = 0; round < 12 && !hasResumed(folder); round += 1) {
          rmSync(folder, { recursive: true, force: true })
          folder = mkdtempSync(join(tmpdir(), 'holdfast-crash-'))
          tree = makeTree(folder)
          await killAndFinish(folder, compression, predecessor)
        }
        checkArchive(folder, tree)
        assert.ok(hasResumed(folder), 'no run went on from a checkpoint')
        if (predecessor === 'ended') {
          assert.deepEqual(readdirSync(join(folder, 'pool', '.staging')), [])
        }
        const resumed = unpacked(folder, compression)
        rmSync(join(folder, 'checkpoint.json'))
        assert.equal(await runOnce(folder, [compression, '99'], Number.POSITIVE_INFINITY), true)
        assert.equal(unpacked(folder, compression), resumed)
      } finally {
        rmSync(folder, { recursive: true })
      }
    })
  }
})
