import { spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'

/**
 * `npm run check`: what must hold before a commit, in under a minute. The steps
 * run beside each other; what a step printed is shown when it fails. With
 * `--static` only what runs nothing of the program, for `npm test`.
 */
const STEPS: readonly (readonly [name: string, command: string, ...args: string[]])[] = [
  ['unit and contract tests', 'node', 'scripts/test.ts', '--quick'],
  ['types', 'tsc', '-p', '.'],
  ['types of the dashboard', 'tsc', '-p', 'packages/web'],
  ['format and lint', 'biome', 'check', '--error-on-warnings'],
  ['promises', 'oxlint', '--type-aware', 'src', 'packages', 'scripts'],
]

interface StepEnd {
  readonly name: string
  readonly exitCode: number | null
  readonly seconds: number
  readonly output: string
}

function runStep([name, command, ...args]: (typeof STEPS)[number]): Promise<StepEnd> {
  const startedAt = performance.now()
  const { promise, resolve, reject } = Promise.withResolvers<StepEnd>()
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const chunks: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk))
  child.once('error', reject)
  child.once('close', (exitCode) => {
    const seconds = (performance.now() - startedAt) / 1000
    resolve({ name, exitCode, seconds, output: Buffer.concat(chunks).toString() })
  })
  return promise
}

function tell({ name, exitCode, seconds, output }: StepEnd): void {
  const verdict = exitCode === 0 ? 'ok    ' : 'FAILED'
  process.stdout.write(`${verdict} ${name} (${seconds.toFixed(1)} s)\n`)
  if (exitCode !== 0) process.stdout.write(`${output}\n`)
}

const queue = process.argv.includes('--static') ? STEPS.slice(1) : [...STEPS]
let failed = false
async function worker(): Promise<void> {
  for (let step = queue.shift(); step !== undefined; step = queue.shift()) {
    const end = await runStep(step)
    tell(end)
    failed ||= end.exitCode !== 0
  }
}
await Promise.all(Array.from({ length: Math.max(2, availableParallelism()) }, worker))
process.exitCode = failed ? 1 : 0
