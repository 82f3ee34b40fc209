/**
 * How long an event takes from the moment its write begins until each of 500
 * sockets has it. The sockets are real, and live in a process of their own.
 *
 *     node bench/live-fanout.ts [sockets=500] [events=200] [perSecond=20]
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { argv, exit, stdout } from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { WebSocket } from 'ws'
import { startServer } from '../src/faces/server.ts'
import { TEST_SERVER } from '../test/support/control-face.ts'
import { ADMIN_TOKEN, openRig } from '../test/support/control-rig.ts'

const TARGET_P99_MS = 50

/** The same clock in both processes, finer than a millisecond. */
const nowMs = (): number => performance.timeOrigin + performance.now()

interface Task {
  readonly url: string
  readonly token: string
  readonly socketCount: number
}

/** Opens the sockets; tells the parent when all are live, and answers the delays it asks for. */
async function beReaders({ url, token, socketCount }: Task): Promise<void> {
  const delays: number[] = []
  let live = 0
  for (let count = 0; count < socketCount; count += 1) {
    const socket = new WebSocket(url)
    socket.on('message', (data: Buffer) => {
      const arrivedMs = nowMs()
      const at = data.indexOf('"benchAtMs":')
      if (at >= 0)
        delays.push(arrivedMs - Number.parseFloat(String(data.subarray(at + 12, at + 32))))
      else if (data.includes('"type":"snapshot"')) {
        live += 1
        if (live === socketCount) process.send?.('live')
      }
    })
    await once(socket, 'open')
    socket.send(JSON.stringify({ type: 'auth', token }))
    socket.send(JSON.stringify({ subscribe: ['operations'] }))
  }
  process.on('message', () => {
    process.send?.(delays.splice(0), () => undefined)
  })
}

function report(name: string, delays: number[], expected: number): number {
  delays.sort((left, right) => left - right)
  const at = (share: number) =>
    delays[Math.min(delays.length - 1, Math.floor(delays.length * share))] ?? NaN
  const figure = (value: number) => `${value.toFixed(1)} ms`
  stdout.write(
    `${name}: ${delays.length} of ${expected} arrived, p50 ${figure(at(0.5))}, p99 ${figure(at(0.99))}, max ${figure(at(1))}\n`,
  )
  return at(0.99)
}

async function main(socketCount: number, eventCount: number, perSecond: number): Promise<number> {
  const rig = await openRig()
  const server = await startServer({
    ...TEST_SERVER,
    webFolder: rig.folder,
    services: rig.services,
  })
  const child = fork(fileURLToPath(import.meta.url), ['readers'])
  const url = `${server.url.replace('http', 'ws')}/api/v1/live`
  child.send({ url, token: ADMIN_TOKEN, socketCount } satisfies Task)
  await once(child, 'message')

  const tell = async (operationId: string) => {
    await rig.database.write(async (tx) => {
      tx.append({
        ...{ topic: 'operation', topicId: operationId, accountId: 'anna', type: 'phase' },
        atMs: Date.now(),
        data: { phase: 'archiving', benchAtMs: nowMs() },
      })
    })
  }
  const delaysOf = async (): Promise<number[]> => {
    await sleep(1_000)
    child.send('delays')
    const [delays] = await once(child, 'message')
    return delays as number[]
  }

  for (let count = 0; count < 50; count += 1) await tell('warm-up')
  await delaysOf()
  for (let count = 0; count < eventCount; count += 1) {
    await tell(`operation-${count}`)
    await sleep(1000 / perSecond)
  }
  const p99 = report(`${perSecond} events/s`, await delaysOf(), eventCount * socketCount)

  await Promise.all(Array.from({ length: 20 }, (_, index) => tell(`burst-${index}`)))
  report('a burst of 20 events at once', await delaysOf(), 20 * socketCount)

  child.kill()
  await server.close()
  await rig.close()
  return p99
}

if (argv[2] === 'readers') {
  const [task] = await once(process, 'message')
  await beReaders(task as Task)
} else {
  const [sockets = 500, events = 200, perSecond = 20] = argv.slice(2).map(Number)
  const p99 = await main(sockets, events, perSecond)
  stdout.write(
    `target: p99 within ${TARGET_P99_MS} ms: ${p99 <= TARGET_P99_MS ? 'met' : 'MISSED'}\n`,
  )
  exit(p99 <= TARGET_P99_MS ? 0 : 1)
}
