import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { WORKER_VANISHED_AFTER_MS } from '../../src/core/limits.ts'
import type { Holdfast } from '../support/holdfast.ts'
import type { LiveReader } from '../support/live-reader.ts'
import {
  createDirectorySource,
  getOperation,
  type Operation,
  submit,
  waitFor,
  waitForEnd,
} from '../support/operations.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
import { eventually, Servers } from '../support/servers.ts'
import { describeTree, makeNastyTree, seededBytes, settleTimes } from '../support/trees.ts'

// Goal: several servers on one PostgreSQL and one data folder are one Holdfast: what one of them
// loses the others bring to its end, and each tells and steers what runs in another. Method: real
// processes, and a tree that takes some seconds to compress.

const NOTICED_WITHIN_MS = 10_000
const STEERED_WITHIN_MS = 2_000
const LEASE_AND_MORE_MS = WORKER_VANISHED_AFTER_MS + 3_000
const TOPICS = ['operations', 'sources', 'snapshots', 'pools', 'devices']
const BIG_FILES = 4
const BIG_FILE_BYTES = 32 * 1024 * 1024

let postgres: TestPostgres
let folder: string
let tree: string
let expected: string[]

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-shared-tree-'))
  tree = join(folder, 'tree')
  await makeNastyTree(tree)
  await mkdir(join(tree, 'big'))
  const bytes = seededBytes(BIG_FILE_BYTES, 29)
  for (let index = 0; index < BIG_FILES; index += 1) {
    await writeFile(join(tree, 'big', `${index}.bin`), bytes.subarray(index))
  }
  await settleTimes(tree)
  expected = await describeTree(tree)
  postgres = await startPostgres()
})

after(async () => {
  await postgres.stop()
  await rm(folder, { recursive: true, force: true })
})

const withTwo = (use: (servers: Servers, both: readonly [Holdfast, Holdfast]) => Promise<void>) =>
  Servers.use(postgres, async (servers) => {
    // Both at once, and on a folder that neither has seen: they make its secrets together.
    await use(servers, await Promise.all([servers.start(), servers.start()]))
  })

const isUnderWay = ({ status, progress }: Operation): boolean =>
  status === 'running' && progress.phase === 'archiving' && progress.bytesDone > 0

/** Answers the operation as soon as it is in the middle of its archive. */
async function beginBackup(server: Holdfast): Promise<Operation> {
  const sourceId = await createDirectorySource(server, tree, { compression: 'gzip' })
  const { id } = await submit(server, { kind: 'backup', sourceId })
  return waitFor(server, id, isUnderWay)
}

async function restoresWhole(server: Holdfast, { snapshotId }: Operation, target: string) {
  const input = { snapshotId: String(snapshotId), target: { path: target } }
  const ended = await waitForEnd(server, (await submit(server, { kind: 'restore', input })).id)
  assert.equal(ended.status, 'completed', JSON.stringify(ended.error))
  assert.deepEqual(await describeTree(target), expected)
}

/** Everything that was logged since it began to listen, in order, and nothing twice. */
async function toldEverything(servers: Servers, reader: LiveReader): Promise<void> {
  const logged = await servers.sequencesAfter(reader.since)
  const isThere = ({ sequences }: LiveReader) => sequences.length >= logged.length
  await reader.until(isThere, `${logged.length} events`, NOTICED_WITHIN_MS)
  assert.deepEqual(reader.sequences.slice(0, logged.length), logged)
}

test('a backup whose server is killed goes on from its checkpoint on the other, and ends once', async () => {
  await withTwo(async (servers, both) => {
    const { id } = await beginBackup(both[0])
    // A pause leaves a checkpoint at once: what it holds must not be done again.
    await both[1].call('POST', `/api/v1/operations/${id}/pause`)
    const paused = await waitFor(both[0], id, ({ status }) => status === 'paused')
    await both[0].call('POST', `/api/v1/operations/${id}/resume`)
    await waitFor(both[1], id, ({ resumedCount }) => resumedCount === 1)
    const { runner, other } = await servers.partsOf(id, both)
    const reader = await servers.read(other, TOPICS)
    await runner.kill()
    const killedAtMs = performance.now()
    await waitFor(other, id, ({ attempt }) => attempt > paused.attempt + 1)
    const noticedMs = performance.now() - killedAtMs
    assert.ok(noticedMs < NOTICED_WITHIN_MS, `noticed after ${Math.round(noticedMs)} ms`)
    const ended = await waitForEnd(other, id)
    assert.equal(ended.status, 'completed', JSON.stringify(ended.error))
    assert.deepEqual(await servers.endsOf(id), ['completed'])
    assert.equal(ended.resumedCount, 2, ended.statusReason)
    assert.ok(ended.bytesNotRedone >= 2 * paused.progress.bytesDone, ended.statusReason)
    assert.match(ended.statusReason, /resumed 2 times, \S+ MB not done again/)
    const interrupted = reader.events.find(({ event }) => event.type === 'interrupted')
    assert.match(
      String(interrupted?.event.data['statusReason']),
      /the worker vanished; waiting to resume/,
    )
    await toldEverything(servers, reader)
    await restoresWhole(other, ended, join(servers.folder, 'restored'))
  })
})

test('a live socket hears events and progress of what runs on another server, each event once', async () => {
  await withTwo(async (servers, both) => {
    const readers = await Promise.all(both.map((server) => servers.read(server, TOPICS)))
    const { id } = await beginBackup(both[0])
    const { other } = await servers.partsOf(id, both)
    const reader = readers[both.indexOf(other)] as LiveReader
    const ended = await waitForEnd(other, id)
    for (const one of readers) await toldEverything(servers, one)
    const types = reader.events.filter(({ event }) => event.topicId === id)
    assert.deepEqual([types[0]?.event.type, types.at(-1)?.event.type], ['submitted', 'completed'])
    assert.equal(types.at(-1)?.operation?.snapshotId, ended.snapshotId)
    const heard = reader.progressOf(id).map(({ progress }) => progress.bytesDone)
    assert.ok(heard.filter((bytes) => bytes > 0).length >= 2, `heard of ${heard.join(', ')}`)
    assert.deepEqual(
      heard,
      heard.toSorted((left, right) => left - right),
    )
  })
})

test('a pause and a cancel that are asked on another server are honoured within 2 s', async () => {
  await withTwo(async (servers, both) => {
    const { id } = await beginBackup(both[0])
    const steer = async (ask: string, status: string) => {
      const { other } = await servers.partsOf(id, both)
      const askedAtMs = performance.now()
      const answer = await other.call('POST', `/api/v1/operations/${id}/${ask}`)
      assert.equal(answer.status, 200, JSON.stringify(answer.body))
      await waitFor(other, id, (operation) => operation.status === status)
      const tookMs = performance.now() - askedAtMs
      assert.ok(tookMs < STEERED_WITHIN_MS, `the ${ask} took ${Math.round(tookMs)} ms`)
    }
    await steer('pause', 'paused')
    await both[1].call('POST', `/api/v1/operations/${id}/resume`)
    await waitFor(both[0], id, isUnderWay)
    await steer('cancel', 'cancelled')
    assert.deepEqual(await servers.endsOf(id), ['cancelled'])
    await nothingStaged(servers)
  })
})

/** What ended without a result is removed; by whom and when exactly does not matter. */
async function nothingStaged({ dataFolder }: Servers): Promise<void> {
  const staging = join(dataFolder, 'pool', '.staging')
  await eventually(
    'staged files are gone',
    async () => ((await readdir(staging)).length === 0 ? true : null),
    NOTICED_WITHIN_MS,
  )
}

test('with split roles the face only answers, the worker only works, and a new worker goes on', async () => {
  await Servers.use(postgres, async (servers) => {
    const api = await servers.start({ HOLDFAST_ROLES: 'api' })
    const reader = await servers.read(api, TOPICS)
    const sourceId = await createDirectorySource(api, tree, { compression: 'gzip' })
    const { id } = await submit(api, { kind: 'backup', sourceId })
    await sleep(1_500)
    assert.equal((await getOperation(api, id)).status, 'pending', 'a face claimed it')
    const worker = await servers.start({ HOLDFAST_ROLES: 'worker' })
    assert.equal((await worker.call('GET', '/healthz')).status, 200)
    assert.equal((await worker.call('GET', '/api/v1/operations')).status, 404)
    await waitFor(api, id, isUnderWay)
    assert.equal(await servers.runnerPid(id), worker.pid)
    await worker.kill()
    const next = await servers.start({ HOLDFAST_ROLES: 'worker' })
    const startedAtMs = performance.now()
    await waitFor(api, id, ({ attempt }) => attempt === 2)
    const noticedMs = performance.now() - startedAtMs
    assert.ok(noticedMs < NOTICED_WITHIN_MS, `noticed after ${Math.round(noticedMs)} ms`)
    const ended = await waitForEnd(api, id)
    assert.equal(ended.status, 'completed', JSON.stringify(ended.error))
    assert.deepEqual(await servers.endsOf(id), ['completed'])
    await toldEverything(servers, reader)
    assert.ok(reader.progressOf(id).length > 0, 'the face heard no progress of the worker')
    assert.equal(await next.stop(), 0)
    assert.equal(await api.stop(), 0)
  })
})

for (const [title, awayMs] of [
  ['that crashes and comes back', 0],
  ['that is away for longer than a lease lasts', LEASE_AND_MORE_MS],
] as const) {
  test(`PostgreSQL ${title} costs neither server what it acknowledged`, async () => {
    await withTwo(async (servers, both) => {
      const readers = await Promise.all(both.map((server) => servers.read(server, TOPICS)))
      const writers = both.map((server, index) => new Acknowledged(server, `of-${index}`))
      const { id } = await beginBackup(both[0])
      await postgres.crashAndRestart({ awayMs })
      const backAtMs = performance.now()
      for (const [index, server] of both.entries()) {
        const isWell = async () =>
          (await server.call('GET', '/healthz')).status === 200 ? true : null
        await eventually(`server ${index} is well again`, isWell, NOTICED_WITHIN_MS)
        await writers[index]?.untilNext()
      }
      const recoveredMs = performance.now() - backAtMs
      assert.ok(recoveredMs < NOTICED_WITHIN_MS, `recovered after ${Math.round(recoveredMs)} ms`)
      const ended = await waitForEnd(both[1], id)
      assert.equal(ended.status, 'completed', JSON.stringify(ended.error))
      assert.deepEqual(await servers.endsOf(id), ['completed'])
      const made = (await Promise.all(writers.map((writer) => writer.end()))).flat()
      for (const server of both) {
        const kept = await deviceNames(server)
        const lost = made.filter((name) => !kept.has(name))
        assert.deepEqual(lost, [])
      }
      for (const reader of readers) await toldEverything(servers, reader)
    })
  })
}

/** Makes one device after the other on a server, and keeps the names of those that it acknowledged. */
class Acknowledged {
  readonly #names: string[] = []
  readonly #writing: Promise<void>
  #isOver = false

  constructor(server: Holdfast, name: string) {
    this.#writing = this.#write(server, name)
  }

  async #write(server: Holdfast, name: string): Promise<void> {
    for (let count = 0; !this.#isOver; count += 1) {
      const body = { name: `device ${count} ${name}` }
      const answer = await server.call('POST', '/api/v1/devices', body)
      if (answer.status === 201) this.#names.push(body.name)
      else assert.equal(answer.status, 503, JSON.stringify(answer.body))
      await sleep(10)
    }
  }

  /** Resolves when one more was acknowledged. */
  async untilNext(): Promise<void> {
    const count = this.#names.length
    const look = async () => (this.#names.length > count ? true : null)
    await eventually('it takes writes again', look, NOTICED_WITHIN_MS)
  }

  async end(): Promise<readonly string[]> {
    this.#isOver = true
    await this.#writing
    return this.#names
  }
}

async function deviceNames(server: Holdfast): Promise<ReadonlySet<string>> {
  const names = new Set<string>()
  for (let cursor = ''; ; ) {
    const { body } = await server.call('GET', `/api/v1/devices?limit=500${cursor}`)
    for (const { name } of body['items'] as { name: string }[]) names.add(name)
    if (body['nextCursor'] === null) return names
    cursor = `&cursor=${String(body['nextCursor'])}`
  }
}

test('a server that slept beyond its lease publishes nothing when it wakes, and the snapshot is whole', async () => {
  await withTwo(async (servers, both) => {
    const { id, sourceId } = await beginBackup(both[0])
    const { runner, other } = await servers.partsOf(id, both)
    process.kill(runner.pid, 'SIGSTOP')
    const { progress: stoppedAt } = await getOperation(other, id)
    const stoppedAtMs = performance.now()
    await waitFor(other, id, ({ attempt }) => attempt === 2)
    const noticedMs = performance.now() - stoppedAtMs
    assert.ok(noticedMs < NOTICED_WITHIN_MS, `noticed after ${Math.round(noticedMs)} ms`)
    await waitFor(other, id, ({ progress }) => progress.bytesDone > stoppedAt.bytesDone)
    process.kill(runner.pid, 'SIGCONT')
    const ended = await waitForEnd(other, id)
    assert.deepEqual([ended.status, ended.attempt], ['completed', 2])
    assert.deepEqual(await servers.endsOf(id), ['completed'])
    assert.match(runner.log(), /a run lost its lease/)
    await restoresWhole(other, ended, join(servers.folder, 'restored'))
    // Once both have ended nobody can publish any more.
    assert.deepEqual(await Promise.all(both.map((server) => server.stop())), [0, 0])
    const published = await readdir(join(servers.dataFolder, 'pool', 'archives', String(sourceId)))
    assert.deepEqual(published.sort(), [`${id}-2.tar.gz`, `${id}-2.tar.gz.manifest.jsonl.gz`])
  })
})
