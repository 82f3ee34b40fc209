import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createControl } from './create/ring.ts'
import { Threads } from './create/threads.ts'
import { ReadPool } from './read/read-pool.ts'

// Threads that spin and hear nothing.

const program = new URL('./spin.test-program.ts', import.meta.url)
const options = { program, stopGraceMs: 100 }
const reason = new Error('enough')

const jobs = {
  'a reading thread': () => {
    const pool = new ReadPool(options)
    const run = (signal: AbortSignal) => pool.run({ kind: 'remove', path: '/nowhere' }, signal)
    return { run, close: () => pool.close() }
  },
  'a writing thread': () => {
    const threads = new Threads(options)
    const input = { ring: createControl(), root: '/nowhere', rootId: '', ignore: '', never: [] }
    return {
      run: (signal: AbortSignal) => threads.run('scan', input, signal),
      close: () => threads.close(),
    }
  },
}

for (const [who, make] of Object.entries(jobs)) {
  test(`${who} that ignores a stop is ended, and says why`, { timeout: 10_000 }, async () => {
    const { run, close } = make()
    const stop = new AbortController()
    const running = run(stop.signal)
    stop.abort(reason)
    await assert.rejects(running, reason)
    await close()
  })

  test(`${who} that works for ever does not hold up a close`, { timeout: 10_000 }, async () => {
    const { run, close } = make()
    const running = run(new AbortController().signal)
    const ended = assert.rejects(running, /thread ended/)
    await close()
    await ended
  })
}
