import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Holdfast, startHoldfast } from '../../support/holdfast.ts'
import { createDirectorySource, waitForEnd } from '../../support/operations.ts'
import { panelToken, WingsClient } from './socket.ts'

// decisions 000: "Exactly one first frame (0) and exactly one terminal frame (100 or −1) per operation, on every path".

/** What would come a second time comes within this. */
const LISTEN_ON_MS = 500
const ROUNDS = 12

let folder: string
let server: Holdfast
let serverId: string

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-wings-ends-'))
  await mkdir(join(folder, 'server'))
  await writeFile(join(folder, 'server', 'world.txt'), 'hello')
  server = await startHoldfast()
  serverId = await createDirectorySource(server, join(folder, 'server'))
})

after(async () => {
  await server.stop()
  await rm(folder, { recursive: true, force: true })
  await rm(server.dataFolder, { recursive: true, force: true })
})

async function startBackup(): Promise<string> {
  const uuid = randomUUID()
  const body = { adapter: 'wings', uuid, ignore: '' }
  const answer = await server.call('POST', `/api/servers/${serverId}/backup`, body)
  assert.equal(answer.status, 202, JSON.stringify(answer.body))
  return uuid
}

/** First and last frames of each operation, and what was said to be completed. */
function endsHeard(client: WingsClient): Record<string, string[]> {
  const heard: Record<string, string[]> = {}
  for (const { args = [] } of client.named('backup progress')) {
    const frame = args[0] as { operation_id: string; percentage: number; bytes_written: number }
    const words = heard[frame.operation_id] ?? []
    heard[frame.operation_id] = words
    if (frame.percentage === 100 || frame.percentage === -1) words.push(String(frame.percentage))
    else if (frame.bytes_written === 0) words.push('0')
    else assert.ok(!words.some((word) => word !== '0'), 'a running frame after the last')
  }
  return heard
}

test('quick backups and restores each begin once and end once, for those who come in the middle, too', async () => {
  const token = await panelToken(serverId)
  const listener = await WingsClient.open(server, serverId, { query: '?details=1' })
  await listener.signIn(token)
  const backups: string[] = []
  const passers: WingsClient[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    const uuid = await startBackup()
    backups.push(uuid)
    const passer = await WingsClient.open(server, serverId, { query: `?details=1&token=${token}` })
    passers.push(passer)
    const ended = await waitForEnd(server, uuid)
    assert.equal(ended.status, 'completed', JSON.stringify(ended.error))
  }
  const restore = await server.call(
    'POST',
    `/api/servers/${serverId}/backup/${backups[0]}/restore`,
    { adapter: 'wings', truncate_directory: false },
  )
  assert.equal(restore.status, 202)
  await listener.until(({ event }) => event === 'backup restore completed')
  await sleep(LISTEN_ON_MS)

  const heard = endsHeard(listener)
  assert.equal(Object.keys(heard).length, ROUNDS + 1)
  for (const words of Object.values(heard)) assert.deepEqual(words, ['0', '100'])
  const completed = listener
    .named('backup completed')
    .map(({ args = [] }) => (args[0] as { uuid: string }).uuid)
  assert.deepEqual(completed, backups)
  assert.equal(listener.named('backup restore completed').length, 1)
  for (const passer of passers) {
    for (const words of Object.values(endsHeard(passer))) {
      assert.ok(words.filter((word) => word === '0').length <= 1, words.join())
      assert.deepEqual(
        words.filter((word) => word !== '0'),
        ['100'],
      )
    }
    passer.close()
  }
  listener.close()
})
