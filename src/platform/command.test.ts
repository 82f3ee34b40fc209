import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { type CommandOptions, type RunningCommand, startCommand } from './command.ts'
import { isCertainlyGone, readProcessIdentity } from './process-identity.ts'

const never = new AbortController().signal

const run = (script: string, options: Partial<CommandOptions> = {}): RunningCommand =>
  startCommand('/bin/sh', ['-c', script], { signal: never, env: process.env, ...options })

async function linesOf(command: RunningCommand): Promise<string[]> {
  const lines: string[] = []
  for await (const line of command.lines) lines.push(line)
  return lines
}

/** Reads the next line without ending the output. */
async function nextLine(command: RunningCommand): Promise<string> {
  const { value } = await command.lines[Symbol.asyncIterator]().next()
  return String(value)
}

async function waitUntilGone(pid: number): Promise<void> {
  const here = readProcessIdentity()
  for (let tries = 0; !isCertainlyGone({ ...here, pid }, here); tries += 1) {
    assert.ok(tries < 500, `process ${pid} still runs`)
    await delay(10)
  }
}

describe('startCommand', () => {
  test('says each line, the exit code and the end of standard error', async () => {
    const command = run('echo one; printf "two\\r\\nthree"; echo trouble >&2; exit 3')
    assert.deepEqual(await linesOf(command), ['one', 'two', 'three'])
    assert.deepEqual(await command.exit, { exitCode: 3, signal: null, stderrTail: 'trouble' })
  })

  test('keeps only the last lines of standard error', async () => {
    const command = run('i=0; while [ $i -lt 100 ]; do echo $i >&2; i=$((i+1)); done')
    await linesOf(command)
    const { stderrTail } = await command.exit
    assert.deepEqual(
      stderrTail.split('\n'),
      Array.from({ length: 20 }, (_, at) => `${80 + at}`),
    )
  })

  test('cuts a line that is too long and goes on with the next', async () => {
    const command = run('head -c 1000000 /dev/zero | tr "\\0" x; echo; echo next', {
      lineLengthMax: 100,
    })
    assert.deepEqual(await linesOf(command), ['x'.repeat(100), 'next'])
  })

  test('rejects where there is no such command', async () => {
    const command = startCommand('/no/such/command', [], { signal: never, env: {} })
    await assert.rejects(command.exit, { code: 'ENOENT' })
  })

  test('does not start after an abort', () => {
    assert.throws(() => run('true', { signal: AbortSignal.abort(new Error('stop')) }), /stop/)
  })
})

describe('ending a command', () => {
  test('asks with the chosen signal', async () => {
    for (const stopSignal of ['SIGINT', 'SIGTERM'] as const) {
      const controller = new AbortController()
      const trap = 'trap "echo INT; exit 4" INT; trap "echo TERM; exit 5" TERM'
      const command = run(`${trap}; echo ready; while :; do sleep 0.02; done`, {
        signal: controller.signal,
        stopSignal,
      })
      assert.equal(await nextLine(command), 'ready')
      controller.abort()
      assert.equal((await command.exit).exitCode, stopSignal === 'SIGINT' ? 4 : 5)
    }
  })

  test('kills what ignores the request, with all of its group', async () => {
    const controller = new AbortController()
    const command = run('trap "" TERM; sleep 600 & echo $!; while :; do sleep 600; done', {
      signal: controller.signal,
      killAfterMs: 30,
    })
    const grandchild = Number(await nextLine(command))
    controller.abort()
    assert.deepEqual(await command.exit, { exitCode: null, signal: 'SIGKILL', stderrTail: '' })
    await waitUntilGone(grandchild)
  })

  test('ends what the command leaves behind in its group', async () => {
    const command = run('sleep 600 & echo $!')
    const lines = await linesOf(command)
    assert.equal((await command.exit).exitCode, 0)
    await waitUntilGone(Number(lines[0]))
  })

  test('settles although nobody reads its output', async () => {
    const controller = new AbortController()
    const command = run('yes', { signal: controller.signal })
    assert.equal(await nextLine(command), 'y')
    controller.abort()
    assert.equal((await command.exit).signal, 'SIGTERM')
  })

  test('an abort after the end does nothing', async () => {
    const controller = new AbortController()
    const command = run('true', { signal: controller.signal, killAfterMs: 1 })
    await linesOf(command)
    await command.exit
    controller.abort()
    await once(AbortSignal.timeout(5), 'abort')
  })
})
