import { spawnSync } from 'node:child_process'
import { globSync } from 'node:fs'
import { finished } from 'node:stream/promises'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'

/**
 * `npm test`: every test there is. `--quick` leaves out what kills processes,
 * drives a browser or is named `*.slow.test.ts`; other words choose files by a
 * part of their path. Tests whose real part is missing are named at the end;
 * with HOLDFAST_TEST_REQUIRE_ALL=1, as in CI, they count as failures.
 */
const QUICK = ['src/**/*.test.ts', 'packages/*/{src,test}/**/*.test.ts', 'test/*.test.ts']
const SLOW = ['test/*/**/*.test.ts']

const words = process.argv.slice(2)
const quick = words.includes('--quick')
const chosen = words.filter((word) => !word.startsWith('--'))

const files = globSync(quick ? QUICK : [...QUICK, ...SLOW])
  .filter((file) => !file.includes('node_modules'))
  .filter((file) => !(quick && file.endsWith('.slow.test.ts')))
  .filter((file) => chosen.length === 0 || chosen.some((part) => file.includes(part)))
  .sort()

if (files.length === 0) {
  process.stderr.write(`no test file matches ${chosen.join(' ')}\n`)
  process.exit(1)
}

const skipped: string[] = []
const failed: string[] = []
let passedCount = 0

if (!quick && chosen.length === 0) {
  const { status } = spawnSync(process.execPath, ['scripts/check.ts', '--static'], {
    stdio: 'inherit',
  })
  if (status !== 0) failed.push('scripts/check.ts --static: format, lint or types')
}

const FILE_TIMEOUT_MS = 5 * 60_000
const stream = run({ files, concurrency: 2, timeout: FILE_TIMEOUT_MS })
stream.on('test:pass', ({ name, skip, details }) => {
  if (skip !== undefined && skip !== false) skipped.push(`${name}: ${String(skip)}`)
  else if (details.type !== 'suite') passedCount += 1
})
stream.on('test:fail', ({ name, file }) => failed.push(`${file ?? ''}: ${name}`))
const report = stream.compose(spec)
report.pipe(process.stdout)
await finished(report)

const requireAll = process.env['HOLDFAST_TEST_REQUIRE_ALL'] === '1'
for (const name of skipped) process.stdout.write(`skipped: ${name}\n`)
for (const name of failed) process.stdout.write(`failed: ${name}\n`)
process.stdout.write(`${passedCount} passed, ${failed.length} failed, ${skipped.length} skipped\n`)
if (requireAll && skipped.length > 0) {
  process.stdout.write('every real part must be there: a skipped test counts as a failure\n')
}
process.exitCode = failed.length > 0 || (requireAll && skipped.length > 0) ? 1 : 0
