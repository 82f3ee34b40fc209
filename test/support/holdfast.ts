import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** A real server process on a private data folder and a free port. */
export interface Holdfast {
  readonly url: string
  readonly pid: number
  readonly dataFolder: string
  /** A token with every permission. */
  readonly adminToken: string
  /** What it wrote to standard error so far. */
  readonly log: () => string
  call(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<Answer>
  /** `kill -9`: nothing of it can tidy up. */
  kill(): Promise<void>
  /** SIGTERM; answers the exit code. */
  stop(): Promise<number | null>
}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  // A test says itself what it expects of a body.
  readonly body: Record<string, unknown>
}

export const ADMIN_TOKEN = 'test-admin-token-0123456789'
export const JWT_SECRET = 'test-jwt-secret-0123456789abcdef'

const READY = /^holdfast ready url=(\S+) pid=(\d+) version=(\S+)$/
const READY_WITHIN_MS = 30_000

export async function startHoldfast(
  options: { dataFolder?: string; env?: Record<string, string> } = {},
): Promise<Holdfast> {
  const dataFolder = options.dataFolder ?? (await mkdtemp(join(tmpdir(), 'holdfast-test-')))
  const child = spawn(process.execPath, ['src/main.ts', 'serve'], {
    env: {
      PATH: process.env['PATH'],
      HOLDFAST_DATA: dataFolder,
      HOLDFAST_PORT: '0',
      HOLDFAST_ADMIN_TOKEN: ADMIN_TOKEN,
      HOLDFAST_JWT_SECRET: JWT_SECRET,
      LOG_LEVEL: 'info',
      ...options.env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exited = once(child, 'exit')
  const stderr: string[] = []
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk.toString()))
  const log = () => stderr.join('')
  const url = await readyUrl(child, log)
  return {
    url,
    pid: child.pid ?? 0,
    dataFolder,
    adminToken: ADMIN_TOKEN,
    log,
    call: (method, path, body, headers) => call(url, method, path, body, headers),
    kill: async () => {
      child.kill('SIGKILL')
      await exited
    },
    stop: async () => {
      child.kill('SIGTERM')
      await exited
      return child.exitCode
    },
  }
}

async function readyUrl(child: ChildProcess, log: () => string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const timer = setTimeout(
    () => reject(new Error(`no ready line within ${READY_WITHIN_MS} ms:\n${log()}`)),
    READY_WITHIN_MS,
  )
  if (child.stdout === null) throw new Error('the server has no standard output')
  createInterface({ input: child.stdout }).on('line', (line) => {
    const url = READY.exec(line)?.[1]
    if (url !== undefined) resolve(url)
  })
  child.once('exit', (code, signal) =>
    reject(new Error(`the server ended (${code ?? signal}) before it was ready:\n${log()}`)),
  )
  try {
    return await promise
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  } finally {
    clearTimeout(timer)
  }
}

async function call(
  url: string,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(new URL(path, url), {
    method,
    headers: {
      authorization: `Bearer ${ADMIN_TOKEN}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  const isJson = (response.headers.get('content-type') ?? '').includes('json')
  return {
    status: response.status,
    headers: response.headers,
    body: isJson && text !== '' ? JSON.parse(text) : { text },
  }
}

export const removeFolder = (folder: string): Promise<void> =>
  rm(folder, { recursive: true, force: true })
