import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pid } from 'node:process'
import { type TestContext, test } from 'node:test'
import { acquireInstanceLock, readInstanceHolder } from './instance-lock.ts'

const clock = { nowMs: () => Date.UTC(2026, 0, 2, 3, 4, 5) }

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-lock-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** Another process that holds the lock; resolves when it has it. */
async function holderProcess(t: TestContext, folder: string) {
  const program = `
    import { acquireInstanceLock } from ${JSON.stringify(new URL('./instance-lock.ts', import.meta.url).href)}
    const lock = await acquireInstanceLock(${JSON.stringify(folder)}, { nowMs: () => 0 })
    await lock.announce('http://127.0.0.1:8080')
    console.log('held')
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  return child
}

test('the second on a data folder is refused and told who has it', async (t) => {
  const folder = await temporaryFolder(t)
  const child = await holderProcess(t, folder)
  await assert.rejects(acquireInstanceLock(folder, clock), {
    code: 'conflict',
    message: `the data folder is in use by process ${child.pid} at http://127.0.0.1:8080, started 1970-01-01T00:00:00.000Z; stop it first, or choose another folder with HOLDFAST_DATA`,
  })
})

test('kill -9 of the holder gives the folder free at once', async (t) => {
  const folder = await temporaryFolder(t)
  const child = await holderProcess(t, folder)
  child.kill('SIGKILL')
  await once(child, 'exit')
  const lock = await acquireInstanceLock(folder, clock)
  assert.equal((await readInstanceHolder(folder))?.pid, pid)
  await lock.release()
})

test('the same process is refused too, until the first gives it back', async (t) => {
  const folder = join(await temporaryFolder(t), 'made', 'new')
  const lock = await acquireInstanceLock(folder, clock)
  await assert.rejects(acquireInstanceLock(folder, clock), { code: 'conflict' })
  assert.deepEqual(await readInstanceHolder(folder), {
    pid,
    url: null,
    startedAt: '2026-01-02T03:04:05.000Z',
  })
  await lock.release()
  await lock.release()
  assert.equal(await readInstanceHolder(folder), null)
  await (await acquireInstanceLock(folder, clock)).release()
})

test('a holder that nobody can read is another process', async (t) => {
  const folder = await temporaryFolder(t)
  const lock = await acquireInstanceLock(folder, clock)
  await writeFile(join(folder, 'instance.json'), '{"pid":')
  await assert.rejects(acquireInstanceLock(folder, clock), /in use by another process; stop it/)
  await lock.release()
})
