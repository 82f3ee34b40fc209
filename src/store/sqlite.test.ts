import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { sql } from 'kysely'
import { describeDatabase } from './database.contract.ts'
import { addDevice, deviceIds } from './database.test-records.ts'
import { openSqlite } from './sqlite.ts'

describeDatabase('the embedded store', {
  shared: false,
  create: async () => {
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-store-'))
    return {
      open: () => openSqlite({ file: join(folder, 'records.sqlite') }),
      remove: () => rm(folder, { recursive: true, force: true }),
    }
  },
})

const WRITER = fileURLToPath(new URL('./sqlite-writer.test-program.ts', import.meta.url))
const KILLS = 10

// Goal: what was acknowledged survives a kill at any moment. Method: a process writes with many
// writers at once and prints each id when its unit has resolved; it is killed after a random number
// of them; the records must then hold each printed id with its event, and nothing by halves.
test('nothing that was acknowledged is lost to kill -9', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-store-'))
  const file = join(folder, 'records.sqlite')
  const acknowledged = new Set<string>()
  try {
    for (let kill = 0; kill < KILLS; kill += 1) {
      const writer = spawn(process.execPath, [WRITER, file, `run${kill}`], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      await killAfter(writer, Math.floor(Math.random() * 400), acknowledged)
      const database = await openSqlite({ file })
      try {
        const devices = await database.sql.selectFrom('devices').select('id').execute()
        const events = await database.sql.selectFrom('events').select('topic_id').execute()
        const kept = new Set(devices.map((row) => row.id))
        const lost = [...acknowledged].filter((id) => !kept.has(id))
        assert.deepEqual(lost, [], `lost by kill ${kill}`)
        const told = events.map((row) => row.topic_id).sort()
        assert.deepEqual(told, [...kept].sort(), 'a row and its event are there together')
      } finally {
        await database.close()
      }
    }
    assert.ok(acknowledged.size > KILLS, 'the writers were killed while they wrote')
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

/** Reads ids until there are `count` new ones, kills the writer, and takes in what it had said before. */
async function killAfter(
  writer: ChildProcess,
  count: number,
  acknowledged: Set<string>,
): Promise<void> {
  if (writer.stdout === null) throw new Error('the writer says nothing')
  const ended = new Promise((resolve) => writer.once('exit', resolve))
  let seen = 0
  for await (const line of createInterface({ input: writer.stdout })) {
    acknowledged.add(line)
    seen += 1
    if (seen > count) writer.kill('SIGKILL')
  }
  await ended
}

test('a full disk refuses what does not fit, and nothing of it is left by halves', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-store-'))
  const database = await openSqlite({ file: join(folder, 'records.sqlite') })
  try {
    const add = (id: string, bytes: number, after?: string) =>
      database.write(async (tx) => {
        const row = { id, account_id: 'ada', name: 'x'.repeat(bytes), created_at_ms: 1 }
        const added = tx.sql.insertInto('devices').values(row).execute()
        if (after === undefined) return added
        await added.catch(() => {
          // Hidden on purpose: what follows must not be written on its own.
        })
        return addDevice(tx, after)
      })
    await database.write(async ({ sql: transaction }) => {
      const { rows } = await sql<{ page_count: number }>`pragma page_count`.execute(transaction)
      const pages = sql.lit((rows[0]?.page_count ?? 0) + 5)
      await sql`pragma max_page_count = ${pages}`.execute(transaction)
    })
    const full = { code: 'no_room', message: /disk .* is full/ }
    await assert.rejects(add('alone', 100_000), full)
    const [small, big, hiding] = await Promise.allSettled([
      add('small', 10),
      add('big', 100_000),
      add('hiding', 100_000, 'half'),
    ])
    assert.equal(small.status, 'fulfilled')
    assert.equal(big.status === 'rejected' && big.reason.code, 'no_room')
    assert.equal(hiding.status, 'rejected')
    assert.deepEqual(await deviceIds(database), ['small'])
    await add('next', 10)
    assert.deepEqual(await deviceIds(database), ['next', 'small'])
  } finally {
    await database.close()
    await rm(folder, { recursive: true, force: true })
  }
})

test('a file that is no database is refused and not touched', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-store-'))
  try {
    const file = join(folder, 'records.sqlite')
    await writeFile(file, 'these are my notes, and no database at all\n'.repeat(50))
    await assert.rejects(openSqlite({ file }), { code: 'unavailable', message: /no database/ })
    const missing = join(folder, 'missing', 'records.sqlite')
    await assert.rejects(openSqlite({ file: missing }), { code: 'unavailable' })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
