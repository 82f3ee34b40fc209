// Makes a fresh clone ready for `npm start` and `npm test`. Plain JavaScript: it runs on whatever
// Node the machine has, before the pinned one is there. With `--test` it also sees to the real
// programs that the tests drive; with `--dashboard` to a dashboard that is up to date, and no more.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const forTests = process.argv.includes('--test')

/** Real parts of the tests: the program that must be there, and Debian's package of it. */
const TEST_PROGRAMS = [
  ['chromium', 'chromium'],
  ['getfattr', 'attr'],
  ['zstd', 'zstd'],
  ['openssl', 'openssl'],
  ['tar', 'tar'],
]

if (!process.argv.includes('--dashboard')) installPackages()
buildDashboard()
if (forTests) installTestPrograms()

/** npm packages exactly as locked, again whenever the lock file has changed. */
function installPackages() {
  const wanted = hashOf(['package-lock.json', 'package.json'])
  const marker = join(root, 'node_modules', '.holdfast-installed')
  if (readIfThere(marker) === wanted) return
  say('installing npm packages (once) …')
  // --include=dev: the dashboard is built here, also where NODE_ENV says production.
  run('npm', ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'])
  writeFileSync(marker, wanted)
}

/** The dashboard, again whenever one of its sources has changed. */
function buildDashboard() {
  const web = 'packages/web'
  const sources = [
    ...filesBelow(`${web}/src`),
    ...filesBelow('packages/sdk/src'),
    `${web}/index.html`,
    `${web}/package.json`,
    `${web}/vite.config.ts`,
  ]
  const wanted = hashOf(sources)
  const marker = join(root, web, 'dist', '.built')
  if (readIfThere(marker) === wanted) return
  say('building the dashboard …')
  // Through npx, so that the pinned Node runs it: its folder is first on npm's path.
  run('npx', ['--no-install', 'vite', 'build', '--logLevel', 'warn'], join(root, web))
  writeFileSync(marker, wanted)
}

function installTestPrograms() {
  const missing = TEST_PROGRAMS.filter(([program]) => !isOnPath(program))
  if (missing.length === 0) return
  const packages = missing.map(([, name]) => name)
  if (process.getuid?.() !== 0 || !isOnPath('apt-get')) {
    say(`not installed, and tests that need them are skipped by name: ${packages.join(', ')}`)
    return
  }
  say(`installing ${packages.join(', ')} from Debian (once) …`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  run('apt-get', ['update', '-qq'], root, env)
  run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], root, env)
}

function run(command, args, cwd = root, env = process.env) {
  const { status, error } = spawnSync(command, args, {
    cwd,
    env,
    // Standard output belongs to the ready line of the server.
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  })
  if (status === 0) return
  say(`${command} ${args.join(' ')} failed: ${error?.message ?? `exit code ${status}`}`)
  process.exit(1)
}

function isOnPath(program) {
  const folders = (process.env.PATH ?? '').split(process.platform === 'win32' ? ';' : ':')
  return folders.some((folder) => folder !== '' && existsSync(join(folder, program)))
}

function hashOf(files) {
  const hash = createHash('sha256')
  for (const file of files) hash.update(`${file}\n`).update(readFileSync(join(root, file)))
  return hash.digest('hex')
}

function filesBelow(folder) {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(root.length))
    .sort()
}

function readIfThere(file) {
  return existsSync(file) ? readFileSync(file, 'utf8') : null
}

function say(message) {
  process.stderr.write(`holdfast: ${message}\n`)
}
