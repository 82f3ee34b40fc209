import { closeSync, fdatasyncSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ADMIN_TOKEN, startHoldfast } from '../test/support/holdfast.ts'

// Durable submissions a second, over HTTP, by 64 clients at once, against what the disk itself does:
// appends of 4 KiB each followed by fdatasync, one after the other, in the same folder and run.
// `node bench/submissions.ts [submissions]`

const CLIENTS = 64
const SUBMISSIONS = Number(process.argv[2] ?? 6_000)

const folder = await mkdtemp(join(tmpdir(), 'holdfast-bench-'))
const tree = join(folder, 'tree')
mkdirSync(tree)
// Without a worker: what is measured is the acknowledgement, not the backups.
const server = await startHoldfast({
  dataFolder: join(folder, 'data'),
  env: { HOLDFAST_ROLES: 'api', LOG_LEVEL: 'warn' },
})
const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS })

try {
  const before = syncRate()
  const sources = await inParallel(SUBMISSIONS, (index) =>
    post('/api/v1/sources', {
      kind: 'directory',
      id: `bench-${index}`,
      name: `bench ${index}`,
      config: { path: tree },
    }),
  )
  if (sources.failed > 0) throw new Error(`${sources.failed} sources were refused`)
  const result = await inParallel(SUBMISSIONS, (index) =>
    post('/api/v1/operations', { kind: 'backup', sourceId: `bench-${index}` }),
  )
  const after = syncRate()
  const disk = (before + after) / 2
  console.log(`fdatasync of the disk        ${disk.toFixed(0)} a second`)
  console.log(`submissions, ${CLIENTS} clients     ${result.perSecond.toFixed(0)} a second`)
  console.log(`ratio                        ${(result.perSecond / disk).toFixed(2)}`)
  console.log(`latency p50 / p99            ${result.p50.toFixed(1)} / ${result.p99.toFixed(1)} ms`)
  console.log(`refused                      ${result.failed}`)
} finally {
  agent.destroy()
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
}

function syncRate(): number {
  const file = join(folder, 'sync')
  const descriptor = openSync(file, 'w')
  const block = Buffer.alloc(4096, 1)
  const startedAt = performance.now()
  let count = 0
  while (performance.now() - startedAt < 1_500) {
    writeSync(descriptor, block)
    fdatasyncSync(descriptor)
    count += 1
  }
  closeSync(descriptor)
  return (count * 1000) / (performance.now() - startedAt)
}

async function inParallel(count: number, one: (index: number) => Promise<boolean>) {
  const latencies: number[] = []
  let next = 0
  let failed = 0
  const startedAt = performance.now()
  const client = async () => {
    while (next < count) {
      const index = next
      next += 1
      const sentAt = performance.now()
      if (!(await one(index))) failed += 1
      latencies.push(performance.now() - sentAt)
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
  const seconds = (performance.now() - startedAt) / 1000
  latencies.sort((left, right) => left - right)
  const at = (share: number) => latencies[Math.floor(share * (latencies.length - 1))] ?? 0
  return { perSecond: count / seconds, p50: at(0.5), p99: at(0.99), failed }
}

function post(path: string, body: unknown): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>()
  const sent = request(
    new URL(path, server.url),
    {
      agent,
      method: 'POST',
      headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' },
    },
    (response) => {
      response.resume()
      response.once('end', () => resolve((response.statusCode ?? 500) < 300))
    },
  )
  sent.once('error', reject)
  sent.end(JSON.stringify(body))
  return promise
}
