// How fast an archive is restored with everything verified, against the bare tool on the same archive in the same run:
//   node bench/archive-extract.ts [--rounds 5] [--files 100000] [--gigabytes 4] [--folder DIR] [--only small|big]
// The tool extracts and hashes the archive: `tee >(openssl dgst -sha256) < archive | tar -x`. Holdfast compares
// every file with the manifest besides. Rounds alternate; ratios above 1 mean that Holdfast is faster. "on disk"
// counts until everything is durable: Holdfast always waits for that, for the tool it is added by `sync -f`.
import { execFileSync } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { enableCompileCache } from 'node:module'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { cpuUsage, memoryUsage, stdout } from 'node:process'
import { parseArgs } from 'node:util'
import type { Snapshot } from '../src/core/snapshot.ts'
import { BackupDirectory } from '../src/engines/archive/create/backup.ts'
import { Threads } from '../src/engines/archive/create/threads.ts'
import { ReadPool } from '../src/engines/archive/read/read-pool.ts'
import { RestoreArchive } from '../src/engines/archive/read/restore.ts'
import type { EngineContext, EngineTask } from '../src/engines/engine.ts'
import { systemClock } from '../src/platform/clock.ts'
import { LocalPool } from '../src/pools/local.ts'

// As the server does at its start: it is what its threads start with.
enableCompileCache()

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    files: { type: 'string', default: '100000' },
    gigabytes: { type: 'string', default: '4' },
    folder: { type: 'string', default: tmpdir() },
    only: { type: 'string' },
    compression: { type: 'string', default: 'none' },
  },
})

const say = (text: string): void => void stdout.write(`${text}\n`)

function noise(bytes: number): Buffer {
  const blocks: Buffer[] = []
  for (let at = 0; at < bytes; at += 64) blocks.push(createHash('sha512').update(`${at}`).digest())
  return Buffer.concat(blocks)
}

function writeNew(path: string, parts: readonly Buffer[]): void {
  const file = openSync(path, 'w')
  for (const part of parts) writeSync(file, part)
  closeSync(file)
}

function makeBig(folder: string, gigabytes: number): void {
  const random = noise(32 * 1024 * 1024)
  const text = Buffer.alloc(random.length, 'a line of text that stands for many others\n')
  const parts = Array.from({ length: 32 }, (_, part) => (part % 2 === 0 ? random : text))
  for (let file = 0; file < gigabytes; file += 1) writeNew(join(folder, `big-${file}`), parts)
}

function makeSmall(folder: string, files: number): void {
  const random = noise(64 * 1024)
  for (let file = 0; file < files; file += 1) {
    const home = join(folder, `d${Math.floor(file / 1000)}`, `e${Math.floor(file / 100) % 10}`)
    if (file % 100 === 0) mkdirSync(home, { recursive: true })
    const bytes = 1024 + ((file * 2654435761) % 7169)
    const from = (file * 37) % (random.length - 8193)
    writeNew(join(home, `file-${file}.dat`), [random.subarray(from, from + bytes)])
  }
}

interface Took {
  readonly ms: number
  readonly durableMs: number
}

function runTool(archive: string, target: string, compression: string): Took {
  mkdirSync(target)
  const unpack = compression === 'none' ? '' : `${compression === 'gzip' ? 'gzip' : 'zstd'} -dc |`
  const began = performance.now()
  const script = `tee >(openssl dgst -sha256 > /dev/null) < "$1" | ${unpack} tar -xf - -C "$2"`
  execFileSync('bash', ['-c', script, 'bash', archive, target])
  const ms = performance.now() - began
  execFileSync('sync', ['-f', target])
  return { ms, durableMs: performance.now() - began }
}

const context = (report: EngineContext['report'] = () => undefined): EngineContext => ({
  signal: new AbortController().signal,
  checkpoint: null,
  predecessorEnded: true,
  report,
  warn: ({ message }) => say(`warning: ${message}`),
  saveCheckpoint: async () => undefined,
  resumedFrom: () => undefined,
  assertCurrent: async () => undefined,
})

const task = (given: Partial<EngineTask>): EngineTask => ({
  operationId: randomUUID(),
  accountId: 'bench',
  kind: 'restore',
  input: {},
  source: null,
  snapshot: null,
  poolId: 'local',
  attempt: 1,
  ...given,
})

async function makeSnapshot(tree: string, pool: LocalPool): Promise<Snapshot> {
  const threads = new Threads()
  const pools = { open: async () => pool }
  const engine = new BackupDirectory({
    pools,
    threads,
    clock: systemClock,
    forbiddenRoots: async () => [],
  })
  const source = {
    id: 'bench',
    accountId: 'bench',
    kind: 'directory',
    name: 'bench',
    deviceId: null,
    config: { path: tree },
    createdAtMs: 0,
  } as const
  const input = { compression: values.compression }
  const { snapshot } = await engine.run(task({ kind: 'backup', source, input }), context())
  await threads.close()
  if (snapshot === undefined) throw new Error('the backup made no snapshot')
  return {
    ...snapshot,
    id: randomUUID(),
    accountId: 'bench',
    sourceId: 'bench',
    operationId: 'bench',
    warningCount: 0,
    pinned: false,
    verifiedAtMs: null,
    verifiedWell: null,
    createdAtMs: 0,
  }
}

async function runHoldfast(
  engine: RestoreArchive,
  snapshot: Snapshot,
  path: string,
): Promise<Took & { rss: number; cpuMs: number; lagMs: number }> {
  let extractedMs = 0
  let rss = 0
  let lagMs = 0
  let last = performance.now()
  const beat = setInterval(() => {
    rss = Math.max(rss, memoryUsage.rss())
    lagMs = Math.max(lagMs, performance.now() - last - 20)
    last = performance.now()
  }, 20)
  const before = cpuUsage()
  const began = performance.now()
  const report = context(({ phase }) => {
    if (phase === 'swapping' && extractedMs === 0) extractedMs = performance.now() - began
  })
  await engine.run(task({ snapshot, input: { target: { path } } }), report)
  const durableMs = performance.now() - began
  clearInterval(beat)
  const { user, system } = cpuUsage(before)
  return { ms: extractedMs, durableMs, rss, cpuMs: (user + system) / 1000, lagMs }
}

const median = (list: readonly number[]): number =>
  [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)] ?? 0

async function compare(name: string, tree: string, folder: string): Promise<void> {
  const pool = new LocalPool({ id: 'local', root: join(folder, 'pool') })
  const snapshot = await makeSnapshot(tree, pool)
  rmSync(tree, { recursive: true })
  const threads = new ReadPool()
  const engine = new RestoreArchive({
    pools: { open: async () => pool },
    threads,
    forbiddenRoots: async () => [],
  })
  const beforeMb = Math.round(memoryUsage.rss() / 1024 ** 2)
  const tool: Took[] = []
  const ours: Awaited<ReturnType<typeof runHoldfast>>[] = []
  const target = join(folder, 'target')
  const archive = join(folder, 'pool', snapshot.key)
  const clear = (): void => {
    rmSync(target, { recursive: true })
    execFileSync('sync', ['-f', folder])
  }
  // The first round warms the caches and does not count.
  for (let round = 0; round <= Number(values.rounds); round += 1) {
    const order = round % 2 === 0 ? ['tool', 'ours'] : ['ours', 'tool']
    for (const who of order) {
      if (who === 'tool') tool.push(runTool(archive, target, String(values.compression)))
      else ours.push(await runHoldfast(engine, snapshot, target))
      clear()
    }
  }
  tool.shift()
  ours.shift()
  const of = (list: readonly Took[], key: 'ms' | 'durableMs') =>
    median(list.map((took) => took[key])) / 1000
  const both = (key: 'ms' | 'durableMs') =>
    `tool ${of(tool, key).toFixed(2)} s, holdfast ${of(ours, key).toFixed(2)} s, ratio ${(of(tool, key) / of(ours, key)).toFixed(2)}`
  say(`${name} ${values.compression}: ${both('ms')} | on disk: ${both('durableMs')}`)
  say(
    `  cpu ${(median(ours.map((took) => took.cpuMs)) / 1000).toFixed(2)} s, rss ${Math.round(Math.max(...ours.map((took) => took.rss)) / 1024 ** 2)} MB (${beforeMb} MB before), main thread late by ${Math.round(Math.max(...ours.map((took) => took.lagMs)))} ms at most`,
  )
  const all = (list: readonly Took[]) => list.map(({ ms }) => (ms / 1000).toFixed(2)).join(' ')
  say(`  tool ${all(tool)} | holdfast ${all(ours)}`)
  await threads.close()
  rmSync(join(folder, 'pool'), { recursive: true })
}

const folder = mkdtempSync(join(values.folder, 'holdfast-bench-'))
try {
  say(`${cpus()[0]?.model}, ${availableParallelism()} cores, node ${process.version}, ${folder}`)
  const tree = join(folder, 'tree')
  if (values.only !== 'big') {
    makeSmall(tree, Number(values.files))
    await compare('small', tree, folder)
  }
  if (values.only !== 'small') {
    mkdirSync(tree)
    makeBig(tree, Number(values.gigabytes))
    await compare('big', tree, folder)
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
