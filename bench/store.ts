import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Database } from '../src/store/database.ts'
import { openPostgres } from '../src/store/postgres.ts'
import { openSqlite } from '../src/store/sqlite.ts'
import { startPostgres } from '../test/support/postgres.ts'

// Durable units a second under concurrent writers, against the plain fdatasync rate of the same disk
// in the same run. A unit is a row and its event. `node bench/store.ts [sqlite|postgres]`

const SECONDS = 3
const WRITERS = 64

function syncRate(folder: string): number {
  const file = openSync(join(folder, 'append'), 'a')
  const block = Buffer.alloc(4096, 1)
  const startMs = performance.now()
  let count = 0
  while (performance.now() - startMs < SECONDS * 1000) {
    writeSync(file, block)
    fdatasyncSync(file)
    count += 1
  }
  closeSync(file)
  return count / ((performance.now() - startMs) / 1000)
}

let made = 0

async function writeOne(database: Database, durable: boolean): Promise<void> {
  made += 1
  const id = `device-${made}`
  await database.write(
    async ({ sql, append }) => {
      const row = { id, account_id: 'bench', name: id, created_at_ms: made }
      await sql.insertInto('devices').values(row).execute()
      const event = { topic: 'device', topicId: id, accountId: 'bench', type: 'created' } as const
      append({ ...event, atMs: made, data: {} })
    },
    { durable },
  )
}

async function unitRate(database: Database, writers: number, durable: boolean) {
  const startMs = performance.now()
  const latenciesMs: number[] = []
  const writer = async () => {
    while (performance.now() - startMs < SECONDS * 1000) {
      const sinceMs = performance.now()
      await writeOne(database, durable)
      latenciesMs.push(performance.now() - sinceMs)
    }
  }
  await Promise.all(Array.from({ length: writers }, writer))
  const rate = latenciesMs.length / ((performance.now() - startMs) / 1000)
  latenciesMs.sort((left, right) => left - right)
  const at = (share: number) =>
    (latenciesMs[Math.floor(latenciesMs.length * share)] ?? 0).toFixed(2)
  return { rate, medianMs: at(0.5), p99Ms: at(0.99) }
}

const folder = mkdtempSync(join(tmpdir(), 'holdfast-bench-'))
const server = process.argv[2] === 'sqlite' ? null : await startPostgres()
try {
  const opened: Database[] = []
  if (process.argv[2] !== 'postgres') {
    opened.push(await openSqlite({ file: join(folder, 'records.sqlite') }))
  }
  if (server !== null) opened.push(await openPostgres({ url: await server.createDatabase() }))
  for (const database of opened) {
    const plain = syncRate(folder)
    process.stdout.write(`plain fdatasync of 4 KiB appends: ${plain.toFixed(0)}/s\n`)
    for (const [writers, durable] of [
      [1, true],
      [WRITERS, true],
      [WRITERS, false],
    ] as const) {
      const { rate, medianMs, p99Ms } = await unitRate(database, writers, durable)
      process.stdout.write(
        `${database.dialect} ${writers} writers ${durable ? 'durable' : 'relaxed'}: ${rate.toFixed(0)} units/s ` +
          `= ${(rate / plain).toFixed(2)} x fdatasync, median ${medianMs} ms, p99 ${p99Ms} ms\n`,
      )
    }
    await database.close()
  }
} finally {
  await server?.stop()
  rmSync(folder, { recursive: true, force: true })
}
