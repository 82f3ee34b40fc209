import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

const WAIT_FOR_OTHERS_MS = 120_000

/**
 * Builds the dashboard where it is missing or older than its sources. Test files
 * run beside each other: SQLite's lock on a file of its own lets one build while
 * the others wait, and is never left behind by a process that dies.
 */
export async function buildDashboard(): Promise<void> {
  const lock = new DatabaseSync(join(root, 'node_modules', '.holdfast-dashboard.lock'), {
    timeout: WAIT_FOR_OTHERS_MS,
  })
  try {
    lock.exec('begin exclusive')
    const build = spawn(process.execPath, ['scripts/install.mjs', '--dashboard'], {
      cwd: root,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const said: string[] = []
    build.stderr.on('data', (chunk: Buffer) => said.push(chunk.toString()))
    const [exitCode] = await once(build, 'close')
    if (exitCode !== 0) throw new Error(`the dashboard was not built:\n${said.join('')}`)
  } finally {
    lock.close()
  }
}
