import { isAbsolute, resolve } from 'node:path'
import { AppError } from './core/errors.ts'
import { LOG_LEVELS, type LogLevel } from './platform/log.ts'

/** What one process is told from outside. The run contract of the README lists the variables. */
export interface Config {
  readonly host: string
  /** 0 picks a free one. */
  readonly port: number
  /** Absolute: everything Holdfast keeps on this machine. */
  readonly dataFolder: string
  /** `null`: the embedded database in the data folder. */
  readonly databaseUrl: string | null
  /** `null`: generated once into the data folder. */
  readonly jwtSecret: string | null
  /** `null`: generated once, printed at the first start. */
  readonly adminToken: string | null
  readonly roles: ReadonlySet<Role>
  readonly tls: { readonly certFile: string; readonly keyFile: string } | null
  /** A proxy in front speaks TLS: plain HTTP off loopback, and the addresses that it reports. */
  readonly behindProxy: boolean
  /** Plain HTTP off loopback without a proxy: only for networks that are trusted whole. */
  readonly allowPlainHttp: boolean
  /** Pages of other origins that may call the API, besides the dashboard's own. */
  readonly allowedOrigins: readonly string[]
  /**
   * Folders that accounts without the permission `admin` may protect, restore
   * to, compare and look through; may hold `{account}`. `null`: every path that
   * the user of this process can use.
   */
  readonly roots: readonly string[] | null
  /** Operations that one worker process runs at a time. */
  readonly workerConcurrency: number
  /** Room that no backup may take from the disk of a local pool. */
  readonly poolReserveBytes: number
  readonly logLevel: LogLevel
}

export const ROLES = ['api', 'worker'] as const

export type Role = (typeof ROLES)[number]

type Env = Readonly<Record<string, string | undefined>>

/**
 * Reads the environment. Throws one `invalid` that lists every problem: nobody
 * should have to start four times to find four mistakes.
 */
export function parseConfig(env: Env = process.env): Config {
  const problems: string[] = []
  const read = readerOf(env, problems)
  const config: Config = {
    host: read.text('HOLDFAST_HOST') ?? '127.0.0.1',
    port: read.whole('HOLDFAST_PORT', 8080, 0, 65_535),
    dataFolder: resolve(read.text('HOLDFAST_DATA') ?? './data'),
    databaseUrl: read.url('DATABASE_URL', ['postgres:', 'postgresql:']),
    jwtSecret: read.text('HOLDFAST_JWT_SECRET'),
    adminToken: read.text('HOLDFAST_ADMIN_TOKEN'),
    roles: read.roles('HOLDFAST_ROLES'),
    tls: read.tls('HOLDFAST_TLS_CERT', 'HOLDFAST_TLS_KEY'),
    behindProxy: read.flag('HOLDFAST_BEHIND_PROXY'),
    allowPlainHttp: read.flag('HOLDFAST_ALLOW_PLAIN_HTTP'),
    allowedOrigins: read.list('HOLDFAST_ALLOWED_ORIGINS'),
    roots: read.folders('HOLDFAST_ROOTS'),
    workerConcurrency: read.whole('HOLDFAST_WORKER_CONCURRENCY', 2, 1, 64),
    poolReserveBytes: read.whole('HOLDFAST_POOL_RESERVE_MIB', 64, 0, 1024 * 1024) * 1024 * 1024,
    logLevel: read.oneOf('LOG_LEVEL', LOG_LEVELS, 'info'),
  }
  if (problems.length > 0) {
    throw new AppError('invalid', `wrong settings: ${problems.join('; ')}`, { problems })
  }
  return config
}

/** RFC 7518, section 3.2, asks for a key as long as the hash; what is shorter than half of it can be tried out. */
const JWT_SECRET_BYTES_MIN = 16
const ADMIN_TOKEN_LENGTH_MIN = 12

/** What works, and is easier to guess than it should be. The values are not repeated. */
export function weakKeys({ jwtSecret, adminToken }: Config): string[] {
  const weaknesses: string[] = []
  if (jwtSecret !== null && Buffer.byteLength(jwtSecret) < JWT_SECRET_BYTES_MIN) {
    weaknesses.push(
      `HOLDFAST_JWT_SECRET has fewer than ${JWT_SECRET_BYTES_MIN} bytes: whoever guesses it signs tokens for everybody`,
    )
  }
  if (adminToken !== null && adminToken.length < ADMIN_TOKEN_LENGTH_MIN) {
    weaknesses.push(
      `HOLDFAST_ADMIN_TOKEN has fewer than ${ADMIN_TOKEN_LENGTH_MIN} characters: it can be guessed`,
    )
  }
  return weaknesses
}

/** Readers for each type of variable. An empty value counts as unset. */
function readerOf(env: Env, problems: string[]) {
  const text = (name: string): string | null => env[name]?.trim() || null

  const whole = (name: string, fallback: number, min: number, max: number): number => {
    const value = text(name)
    if (value === null) return fallback
    const number = Number(value)
    if (Number.isInteger(number) && number >= min && number <= max) return number
    problems.push(
      `${name} is ${JSON.stringify(value)}, and must be a whole number ${min} to ${max}`,
    )
    return fallback
  }

  const oneOf = <T extends string>(name: string, values: readonly T[], fallback: T): T => {
    const value = text(name)?.toLowerCase()
    if (value === undefined) return fallback
    const known = values.find((candidate) => candidate === value)
    if (known !== undefined) return known
    problems.push(`${name} is ${JSON.stringify(value)}, and must be one of ${values.join(', ')}`)
    return fallback
  }

  const list = (name: string): string[] =>
    (text(name) ?? '')
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '')

  const folders = (name: string): readonly string[] | null => {
    const value = text(name)
    if (value === null) return null
    const named = list(name)
    if (named.length === 0 || !named.every((folder) => isAbsolute(folder))) {
      problems.push(
        `${name} is ${JSON.stringify(value)}, and must list absolute folders, such as /srv/{account},/srv/shared`,
      )
    }
    return named.map((folder) => resolve(folder))
  }

  const url = (name: string, protocols: readonly string[]): string | null => {
    const value = text(name)
    if (value === null) return null
    if (URL.canParse(value) && protocols.includes(new URL(value).protocol)) return value
    // The value may hold a password: it is not repeated.
    problems.push(`${name} must be an address that begins with ${protocols.join(' or ')}`)
    return null
  }

  const roles = (name: string): ReadonlySet<Role> => {
    const names = list(name)
    const known = names.filter((role): role is Role => (ROLES as readonly string[]).includes(role))
    if (known.length !== names.length) {
      problems.push(`${name} is ${JSON.stringify(text(name))}, and may list ${ROLES.join(', ')}`)
    }
    return new Set(known.length === 0 ? ROLES : known)
  }

  const tls = (certName: string, keyName: string): Config['tls'] => {
    const certFile = text(certName)
    const keyFile = text(keyName)
    if (certFile === null && keyFile === null) return null
    if (certFile === null || keyFile === null) {
      problems.push(`${certName} and ${keyName} go together: set both or none`)
      return null
    }
    for (const [name, file] of [
      [certName, certFile],
      [keyName, keyFile],
    ] as const) {
      if (!isAbsolute(file))
        problems.push(`${name} is ${JSON.stringify(file)}, and must be absolute`)
    }
    return { certFile, keyFile }
  }

  const flag = (name: string): boolean =>
    oneOf(name, ['0', '1', 'true', 'false'], '0').match(/1|true/) !== null

  return { text, whole, oneOf, list, folders, url, roles, tls, flag }
}
