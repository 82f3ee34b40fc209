import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Holdfast, startHoldfast } from './holdfast.ts'
import { LiveReader } from './live-reader.ts'
import { query, type TestPostgres } from './postgres.ts'

const POLL_MS = 50
const ENDS = ['completed', 'failed', 'cancelled', 'expired']

/** Server processes that share one database on PostgreSQL and one data folder. */
export class Servers {
  readonly url: string
  readonly folder: string
  readonly #all: Holdfast[] = []
  readonly #readers: LiveReader[] = []

  private constructor(url: string, folder: string) {
    this.url = url
    this.folder = folder
  }

  /** Whatever the test leaves alive is ended behind it. */
  static async use(postgres: TestPostgres, test: (servers: Servers) => Promise<void>) {
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-servers-'))
    const servers = new Servers(await postgres.createDatabase(), folder)
    const endWithUs = () => {
      for (const { pid } of servers.#all) endProcess(pid)
    }
    process.once('exit', endWithUs)
    try {
      await test(servers)
    } finally {
      for (const reader of servers.#readers) reader.close()
      for (const server of servers.#all) await server.kill()
      process.removeListener('exit', endWithUs)
      await rm(folder, { recursive: true, force: true })
    }
  }

  get dataFolder(): string {
    return join(this.folder, 'data')
  }

  async start(env: Record<string, string> = {}): Promise<Holdfast> {
    const server = await startHoldfast({
      dataFolder: this.dataFolder,
      env: { DATABASE_URL: this.url, ...env },
    })
    this.#all.push(server)
    return server
  }

  async read(server: Holdfast, subjects: readonly string[]): Promise<LiveReader> {
    const reader = await LiveReader.open(server, subjects)
    this.#readers.push(reader)
    return reader
  }

  /** The process that runs the operation, as the records say; `null` where none does. */
  async runnerPid(operationId: string): Promise<number | null> {
    const [row] = await this.#rows<{ pid: number | string }>(
      `select w.pid from operations o join workers w on w.id = o.worker_id
        where o.status = 'running' and o.id = '${operationId}'`,
    )
    return row === undefined ? null : Number(row.pid)
  }

  /** Which of the servers runs the operation, and which does not. */
  async partsOf(
    operationId: string,
    servers: readonly Holdfast[],
  ): Promise<{ runner: Holdfast; other: Holdfast }> {
    const pid = await this.runnerPid(operationId)
    const runner = servers.find((server) => server.pid === pid)
    const other = servers.find((server) => server.pid !== pid)
    if (runner === undefined || other === undefined) throw new Error(`none of them runs it: ${pid}`)
    return { runner, other }
  }

  /** The log as it stands, read past every server. */
  async sequencesAfter(sequence: number): Promise<readonly number[]> {
    const rows = await this.#rows<{ sequence: string }>(
      `select sequence from events where sequence > ${sequence} order by sequence`,
    )
    return rows.map((row) => Number(row.sequence))
  }

  async endsOf(operationId: string): Promise<readonly string[]> {
    const types = await this.eventTypes(operationId)
    return types.filter((type) => ENDS.includes(type))
  }

  async eventTypes(operationId: string): Promise<readonly string[]> {
    const rows = await this.#rows<{ type: string }>(
      `select type from events where topic_id = '${operationId}' order by sequence`,
    )
    return rows.map(({ type }) => type)
  }

  async #rows<Row>(text: string): Promise<readonly Row[]> {
    return (await query(this.url, text)).rows as Row[]
  }
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended already.
  }
}

/** Waits until `look` answers something, and answers it. */
export async function eventually<T>(
  what: string,
  look: () => Promise<T | null>,
  withinMs: number,
): Promise<T> {
  for (const endMs = performance.now() + withinMs; ; ) {
    const found = await look()
    if (found !== null) return found
    if (performance.now() > endMs) throw new Error(`waited ${withinMs} ms in vain: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}
