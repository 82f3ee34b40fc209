import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { type Config, parseConfig } from '../config.ts'
import { AppError } from '../core/errors.ts'
import { createLog } from '../platform/log.ts'
import { UsageError } from './arguments.ts'
import type { SessionOptions } from './command.ts'
import { readAdminToken, readServerAddress } from './server-address.ts'
import type { Session } from './session.ts'
import { ServerSession } from './session-server.ts'

type Env = Readonly<Record<string, string | undefined>>

/**
 * The one way to the records for every command:
 *
 * - `HOLDFAST_URL` names a server: that one, with `HOLDFAST_TOKEN`;
 * - the data folder is free: the core in this process;
 * - else the server that has it.
 */
export async function openSession(env: Env, options: SessionOptions): Promise<Session> {
  const url = env['HOLDFAST_URL']?.trim()
  if (url) return new ServerSession({ url: checkedUrl(url), token: tokenOfEnv(env) })
  const config = parseConfig(env)
  // With a database of its own the folder can be shared: a server beside us is asked first.
  const beside = config.databaseUrl === null ? null : await findServer(config, env)
  if (beside !== null) return beside
  if (!options.create && config.databaseUrl === null && !existsSync(config.dataFolder)) {
    throw new AppError(
      'not_found',
      `there is no data folder ${config.dataFolder}; say where it is with --data or HOLDFAST_DATA`,
    )
  }
  try {
    return await openEmbedded(config, options)
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'conflict') throw error
    const server = await findServer(config, env)
    if (server !== null) return server
    throw error
  }
}

async function openEmbedded(config: Config, options: SessionOptions): Promise<Session> {
  // Loaded only here: a command that talks to a server has no use for the whole of it.
  const { openCore } = await import('../app.ts')
  const { EmbeddedSession } = await import('./session-embedded.ts')
  const core = await openCore(config, { log: createLog(quieter(config.logLevel)) })
  try {
    const caller = await core.auth.adminCaller()
    if (options.work) await core.worker.start()
    return new EmbeddedSession(core, caller)
  } catch (error) {
    await core.close()
    throw error
  }
}

/** On a command line only what is wrong is worth a line of log. */
const quieter = (level: Config['logLevel']): Config['logLevel'] =>
  level === 'info' ? 'warn' : level

async function findServer(config: Config, env: Env): Promise<Session | null> {
  const address = await readServerAddress(config.dataFolder)
  if (address === null) return null
  const token =
    env['HOLDFAST_TOKEN']?.trim() || config.adminToken || (await readAdminToken(config.dataFolder))
  if (token === null) {
    throw new AppError('unauthenticated', 'set HOLDFAST_TOKEN to an access token of the server')
  }
  await trustOwnCertificate(config)
  return new ServerSession({ url: address.url, token })
}

/** The server beside us has this certificate, whoever vouches for it or not. */
async function trustOwnCertificate({ tls }: Config): Promise<void> {
  if (tls === null) return
  try {
    const own = await readFile(tls.certFile, 'utf8')
    setDefaultCACertificates([...getCACertificates('default'), own])
  } catch {
    // Not readable for this user, or no certificate: the connection says what is wrong.
  }
}

/** Never the admin token of the data folder: it belongs to the server of that folder alone. */
function tokenOfEnv(env: Env): string {
  const token = env['HOLDFAST_TOKEN']?.trim() || env['HOLDFAST_ADMIN_TOKEN']?.trim()
  if (!token)
    throw new UsageError('HOLDFAST_URL is set: set HOLDFAST_TOKEN to an access token, too')
  return token
}

function checkedUrl(url: string): string {
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return url
  throw new UsageError(
    `HOLDFAST_URL is ${JSON.stringify(url)}, and must begin with http:// or https://`,
  )
}
