// How fast an archive is made, against the bare tool on the same tree in the same run:
//   node bench/archive-create.ts [--rounds 5] [--files 100000] [--gigabytes 4] [--folder DIR] [--zstd-only]
// A round runs the tool and Holdfast in alternating order. Ratios above 1 mean that Holdfast is faster.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { enableCompileCache } from 'node:module'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { argv, cpuUsage, execPath, memoryUsage, stdout } from 'node:process'
import { parseArgs } from 'node:util'
import { BackupDirectory } from '../src/engines/archive/create/backup.ts'
import { Threads } from '../src/engines/archive/create/threads.ts'
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
    make: { type: 'string' },
  },
})

const GIB = 1024 ** 3
const say = (text: string): void => void stdout.write(`${text}\n`)

/** Bytes that do not compress, the same in every run. */
function noise(bytes: number, seed: number): Buffer {
  const blocks: Buffer[] = []
  for (let at = 0; at < bytes; at += 64) {
    blocks.push(createHash('sha512').update(`${seed}:${at}`).digest())
  }
  return Buffer.concat(blocks).subarray(0, bytes)
}

const prose = (bytes: number, seed: number): Buffer => {
  const words = [
    'backup',
    'of',
    'a',
    'world',
    'kept',
    'well',
    'and',
    'found',
    'again',
    'in',
    'time',
  ]
  let text = ''
  for (let at = seed; text.length < bytes; at += 1) {
    text += `${words[(at * 7919 + (at >> 3)) % words.length]} ${at % 977 === 0 ? at : ''}`
  }
  return Buffer.from(text).subarray(0, bytes)
}

function makeBig(folder: string, gigabytes: number): void {
  mkdirSync(folder, { recursive: true })
  const random = noise(16 * 1024 * 1024, 1)
  const text = prose(16 * 1024 * 1024, 1)
  for (let file = 0; file < gigabytes; file += 1) {
    const fd = openSync(join(folder, `big-${file}`), 'w')
    for (let part = 0; part < GIB / random.length; part += 1) {
      const bytes = part % 2 === 0 ? random : text
      bytes.writeUInt32LE(file * 1000 + part, part * 8)
      writeSync(fd, bytes)
    }
    closeSync(fd)
  }
}

function makeSmall(folder: string, files: number): void {
  const random = noise(64 * 1024, 2)
  const text = prose(64 * 1024, 2)
  for (let file = 0; file < files; file += 1) {
    const home = join(folder, `d${Math.floor(file / 1000)}`, `e${Math.floor(file / 100) % 10}`)
    if (file % 100 === 0) mkdirSync(home, { recursive: true })
    const bytes = 1024 + ((file * 2654435761) % 7169)
    const from = (file * 37) % (random.length - 8193)
    const fd = openSync(join(home, `file-${file}.dat`), 'w')
    writeSync(fd, (file % 2 === 0 ? random : text).subarray(from, from + bytes))
    closeSync(fd)
  }
}

interface Took {
  /** To the last byte of the archive, hashed. */
  readonly ms: number
  /** To the archive on the disk. */
  readonly durableMs: number
}

function runTool(tree: string, out: string, compression: string): Took {
  rmSync(out, { force: true })
  const began = performance.now()
  const script =
    compression === 'none'
      ? 'tar -cf - -C "$1" . | tee "$2" | openssl dgst -sha256'
      : compression === 'zstd'
        ? 'tar --zstd -cf "$2" -C "$1" .'
        : 'tar -cf - -C "$1" . | gzip -1 > "$2"'
  execFileSync('sh', ['-c', script, 'sh', tree, out], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ms = performance.now() - began
  execFileSync('sync', [out])
  const took = { ms, durableMs: performance.now() - began }
  rmSync(out)
  return took
}

async function runHoldfast(
  engine: BackupDirectory,
  tree: string,
  compression: string,
  attempt: number,
): Promise<Took & { scanMs: number; checkpoints: number }> {
  let scanMs = 0
  let publishAtMs = 0
  let checkpoints = 0
  const began = performance.now()
  await engine.run(
    {
      operationId: '0193f000-0000-7000-8000-00000000000b',
      accountId: 'bench',
      kind: 'backup',
      input: { compression, ...(compression === 'gzip' ? { level: 'best_speed' } : {}) },
      source: {
        id: 'bench',
        accountId: 'bench',
        kind: 'directory',
        name: 'bench',
        deviceId: null,
        config: { path: tree },
        createdAtMs: 0,
      },
      snapshot: null,
      poolId: 'local',
      attempt,
    },
    {
      signal: new AbortController().signal,
      checkpoint: null,
      predecessorEnded: true,
      report: ({ phase }) => {
        if (phase === 'archiving' && scanMs === 0) scanMs = performance.now() - began
        if (phase === 'publishing' && publishAtMs === 0) publishAtMs = performance.now() - began
      },
      warn: () => undefined,
      saveCheckpoint: async () => {
        checkpoints += 1
      },
      resumedFrom: () => undefined,
      assertCurrent: async () => undefined,
    },
  )
  return { ms: publishAtMs, durableMs: performance.now() - began, scanMs, checkpoints }
}

/** When the archive was whole and hashed: what comes then, putting it on the disk, the tool does not do. */
let wholeAtMs = 0

const median = (list: readonly number[]): number =>
  [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)] ?? 0

async function compare(
  name: string,
  tree: string,
  compression: string,
  folder: string,
): Promise<void> {
  const threads = new Threads()
  const pool = new LocalPool({ id: 'local', root: join(folder, 'pool') })
  const engine = new BackupDirectory({
    pools: { open: async () => pool },
    threads,
    clock: systemClock,
    forbiddenRoots: async () => [],
    onArchived: (ms) => {
      wholeAtMs = ms
    },
  })
  const tool: Took[] = []
  const ours: (Took & { scanMs: number; checkpoints: number; cpuMs: number })[] = []
  for (let round = 0; round <= Number(values.rounds); round += 1) {
    const first = round % 2 === 0
    const one = (): void => void tool.push(runTool(tree, join(folder, 'tool.tar'), compression))
    if (first) one()
    const before = cpuUsage()
    const began = performance.now()
    wholeAtMs = 0
    const result = await runHoldfast(engine, tree, compression, round + 1)
    const cpu = cpuUsage(before)
    const whole = wholeAtMs > 0 ? wholeAtMs - began : result.ms
    ours.push({ ...result, ms: whole, cpuMs: (cpu.user + cpu.system) / 1000 })
    rmSync(join(folder, 'pool'), { recursive: true })
    if (!first) one()
    if (round === 0) {
      tool.length = 0 // the first round warms the caches
      ours.length = 0
    }
  }
  const of = (list: readonly Took[], key: 'ms' | 'durableMs') =>
    median(list.map((took) => took[key]))
  const ratio = (key: 'ms' | 'durableMs') => (of(tool, key) / of(ours, key)).toFixed(2)
  const seconds = (ms: number) => (ms / 1000).toFixed(2)
  say(
    `${name} ${compression}: tool ${seconds(of(tool, 'ms'))} s, holdfast ${seconds(of(ours, 'ms'))} s, ratio ${ratio('ms')}` +
      ` | on disk ${seconds(of(tool, 'durableMs'))} / ${seconds(of(ours, 'durableMs'))} s, ratio ${ratio('durableMs')}` +
      ` | scan ${seconds(median(ours.map((took) => took.scanMs)))} s, cpu ${seconds(median(ours.map((took) => took.cpuMs)))} s, rss ${Math.round(memoryUsage.rss() / 1024 ** 2)} MB, checkpoints ${median(ours.map((took) => took.checkpoints))}`,
  )
  say(
    `  tool ${tool.map((took) => seconds(took.ms)).join(' ')} | holdfast ${ours.map((took) => seconds(took.ms)).join(' ')}`,
  )
  await threads.close()
}

/** In a process of its own: what it takes of memory is not to be seen in the figures. */
const make = (tree: string): void =>
  void execFileSync(execPath, [import.meta.filename, ...argv.slice(2), '--make', tree])

async function compareAll(): Promise<void> {
  const folder = mkdtempSync(join(values.folder, 'holdfast-bench-'))
  try {
    say(`${cpus()[0]?.model}, ${availableParallelism()} cores, node ${process.version}, ${folder}`)
    const wanted = (name: string): boolean =>
      values.only === undefined || name.includes(values.only)
    for (const size of ['small', 'big']) {
      const tree = join(folder, size)
      for (const compression of size === 'small' ? ['none', 'zstd', 'gzip'] : ['none', 'zstd']) {
        if (!wanted(`${size} ${compression}`)) continue
        if (!existsSync(tree)) make(tree)
        await compare(size, tree, compression, folder)
      }
      rmSync(tree, { recursive: true, force: true })
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

if (values.make === undefined) await compareAll()
else if (values.make.endsWith('small')) makeSmall(values.make, Number(values.files))
else makeBig(values.make, Number(values.gigabytes))
