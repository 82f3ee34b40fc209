import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { ended, objects, startRoom } from '../support/command-room.ts'

// The real command line, in processes of its own, on temporary folders.

const BIN = fileURLToPath(new URL('../../bin/holdfast.mjs', import.meta.url))

const resultOf = (text: string) =>
  objects(text).find(({ type }) => type === 'result') as {
    exitCode: number
    operation: { id: string; status: string; resumedCount: number }
    snapshot: { id: string; itemCount: number }
  }

/** Takes long enough to be interrupted: gzip does not get faster on chance. */
async function makeLargeSource(folder: string, parts = 5): Promise<void> {
  await mkdir(join(folder, 'large'))
  const block = randomBytes(32 * 1024 * 1024)
  for (let index = 0; index < parts; index += 1) {
    await writeFile(join(folder, 'large', `part-${index}`), block)
  }
}

/** Settles when bytes have moved. */
async function untilItMoves(child: ChildProcess): Promise<void> {
  assert(child.stdout !== null)
  for await (const line of createInterface({ input: child.stdout })) {
    const { type, progress } = JSON.parse(line) as { type: string; progress: { bytesDone: number } }
    if (type === 'progress' && progress.bytesDone > 0) break
  }
}

test('backs up, lists, verifies and restores without a server', async (t) => {
  const { folder, run } = await startRoom(t)
  const backup = await run(['backup', 'photos', '--json'])
  assert.equal(backup.code, 0, backup.stderr)
  const { snapshot, exitCode } = resultOf(backup.stdout)
  assert.equal(exitCode, 0)
  assert.equal(backup.stderr, '', 'a program reads standard output alone')

  const list = await run(['snapshots', 'photos'])
  assert.match(list.stdout, new RegExp(`${snapshot.id} .* photos `))
  assert.doesNotMatch(list.stdout, /\p{Cc}(?<!\n)/u, 'no escapes in a pipe')

  assert.equal((await run(['verify', snapshot.id])).code, 0)

  const restore = await run(['restore', snapshot.id, '--to', 'back', '--path', 'summer/**'])
  assert.equal(restore.code, 0, restore.stderr)
  assert.match(restore.stdout, /restore completed/)
  const restored = join(folder, 'back', 'summer', 'berlin.jpg')
  assert.equal(await readFile(restored, 'utf8'), 'berlin')
  await assert.rejects(readFile(join(folder, 'back', 'list.txt')), { code: 'ENOENT' })

  // Refused: what is there would be in the way. Nothing was said about it.
  const again = await run(['restore', snapshot.id, '--to', 'back', '--json'])
  assert.equal(again.code, 5)
  assert.equal(objects(again.stdout)[0]?.['code'], 'conflict')
})

test('a backup with warnings ends with 3 and names them', async (t) => {
  const { folder, run } = await startRoom(t)
  await promisify(execFile)('mkfifo', [join(folder, 'photos', 'pipe')])
  const { code, stdout } = await run(['backup', 'photos'])
  assert.equal(code, 3)
  assert.match(stdout, /backup completed with warnings/)
  assert.match(stdout, /skipped_special: .*pipe/)
})

test('what is not there ends with 4, what is written wrongly with 2', async (t) => {
  const { run } = await startRoom(t)
  const codes = async (...commands: string[][]) =>
    (await Promise.all(commands.map((args) => run([...args, '--data', 'made-for-none'])))).map(
      ({ code }) => code,
    )
  assert.deepEqual(
    await codes(
      ['bakup', 'x'],
      ['backup'],
      ['backup', 'a', 'b'],
      ['backup', 'a', '--compression', 'rar'],
      ['serve', '--port', '99999'],
      [],
    ),
    [2, 2, 2, 2, 2, 2],
  )
  assert.deepEqual(await codes(['snapshots']), [4], 'there is no such data folder')
  const [missing, unknown] = [await run(['backup', 'nowhere']), await run(['watch', 'nobody'])]
  assert.deepEqual([missing.code, unknown.code], [4, 4])
  assert.match(missing.stderr, /there is no folder .*nowhere/)
})

test('Ctrl-C pauses at a checkpoint, and the same command goes on from there', async (t) => {
  const { folder, start, run } = await startRoom(t)
  await makeLargeSource(folder)
  const args = ['backup', 'large', '--compression', 'gzip']
  const first = start([...args, '--json'])
  await untilItMoves(first)
  first.kill('SIGINT')
  const { code } = await ended(first)
  assert.equal(code, 130)
  const listed = await run(['operations', '--status', 'paused', '--json'])
  const [paused] = objects(listed.stdout)
  assert(paused !== undefined)
  const watch = await run(['watch', String(paused['id'])])
  assert.equal(watch.code, 5, 'nobody would go on with it')

  const second = await run(args)
  assert.equal(second.code, 0, second.stderr)
  assert.match(second.stderr, /Going on with the backup that was paused/)
  assert.match(second.stdout, /backup completed after .*, resumed 1 time/)
})

test('a backup that was killed is gone on with, and said to be', async (t) => {
  const { folder, start, run } = await startRoom(t)
  await makeLargeSource(folder)
  const args = ['backup', 'large', '--compression', 'gzip']
  const first = start([...args, '--json'])
  await untilItMoves(first)
  first.kill('SIGKILL')
  await ended(first)
  const second = await run(args)
  assert.equal(second.code, 0, second.stderr)
  assert.match(second.stderr, /Going on with the backup that was interrupted/)
})

async function startServer(room: Awaited<ReturnType<typeof startRoom>>) {
  const server = room.start(['serve', '--port', '0'])
  assert(server.stdout !== null && server.stderr !== null)
  let stderr = ''
  server.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const lines = createInterface({ input: server.stdout })
  const [line = ''] = (await Promise.race([once(lines, 'line'), once(server, 'close')])) as [string]
  const ready = /^holdfast ready url=(http:\/\/127\.0\.0\.1:\d+) pid=(\d+) version=(\d+\.\d+\.\d+)$/
  const match = ready.exec(line)
  assert(match !== null, `${line}\n${stderr}`)
  return { server, url: match[1] ?? '', pid: Number(match[2]), stderr: () => stderr }
}

test('with a server running, commands do their work through it', async (t) => {
  const room = await startRoom(t)
  const { server, url, pid } = await startServer(room)
  assert.equal(pid, server.pid)
  const backup = await room.run(['backup', 'photos', '--json'])
  assert.equal(backup.code, 0, backup.stdout)

  const link = await room.run(['sign-in'])
  assert.match(link.stdout, new RegExp(`^${url}/sign-in#code=`))
  const made = await room.run(['token', '--permissions', 'snapshots.read', '--expires', '1h'])
  assert.equal(made.code, 0, made.stderr)

  // Elsewhere: an address and a token, and no data folder.
  const elsewhere = { HOLDFAST_URL: url, HOLDFAST_TOKEN: made.stdout.trim(), HOLDFAST_DATA: 'none' }
  const { snapshot } = resultOf(backup.stdout)
  assert.equal((await room.run(['restore', snapshot.id], elsewhere)).code, 5, 'may only read')
  const wrong = await room.run(['snapshots'], { ...elsewhere, HOLDFAST_TOKEN: 'wrong' })
  assert.equal(wrong.code, 5)

  const second = await room.run(['serve', '--port', '0'])
  assert.equal(second.code, 5, 'the data folder has one server')
  assert.match(second.stderr, new RegExp(`in use by process ${pid} at ${url}`))

  server.kill('SIGTERM')
  assert.equal((await ended(server)).code, 0)
})

test('Ctrl-C while following leaves the work to the server', async (t) => {
  const room = await startRoom(t)
  await makeLargeSource(room.folder, 15)
  const { server } = await startServer(room)
  const follower = room.start(['backup', 'large', '--compression', 'gzip', '--json'])
  await untilItMoves(follower)
  follower.kill('SIGINT')
  assert.equal((await ended(follower)).code, 130)
  const [running] = objects((await room.run(['operations', '--limit', '1', '--json'])).stdout)
  assert.equal(running?.['status'], 'running')

  const watching = room.run(['watch', String(running?.['id'])])
  const cancelled = await room.run(['cancel', String(running?.['id'])])
  assert.equal(cancelled.code, 0, cancelled.stderr)
  const watched = await watching
  assert.equal(watched.code, 1)
  assert.match(watched.stdout, /backup cancelled/)
  const late = await room.run(['pause', String(running?.['id'])])
  assert.equal(late.code, 5, 'it has ended')
  server.kill('SIGINT')
  assert.equal((await ended(server)).code, 0)
})

test('the doctor finds a new machine well and wrong settings broken', async (t) => {
  const { run } = await startRoom(t)
  const well = await run(['doctor', '--json'])
  assert.equal(well.code, 0, well.stdout)
  const names = objects(well.stdout).map(({ name }) => name)
  for (const name of ['node', 'data folder', 'fsync', 'database', 'pool local', 'clock']) {
    assert(names.includes(name), name)
  }
  const broken = await run(['doctor'], { HOLDFAST_PORT: 'x', LOG_LEVEL: 'loud' })
  assert.equal(broken.code, 1)
  assert.match(broken.stdout.split('\n')[0] ?? '', /✗ settings.*HOLDFAST_PORT.*LOG_LEVEL/)
})

test('bin/holdfast.mjs runs from any folder, and passes the exit code on', async (t) => {
  const { folder } = await startRoom(t)
  const child = spawn(process.execPath, [BIN, 'help', 'backup'], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const { code, stdout } = await ended(child)
  assert.equal(code, 0)
  assert.match(stdout, /^Usage: holdfast backup PATH/)
  const wrong = spawn(process.execPath, [BIN, 'nonsense'], { cwd: folder, stdio: 'ignore' })
  assert.deepEqual(await once(wrong, 'close'), [2, null])
})
