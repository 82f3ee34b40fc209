import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { isCertainlyGone, readProcessIdentity } from './process-identity.ts'

test('a process that runs is not gone, one that has ended is', async () => {
  const here = readProcessIdentity()
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
  await once(child, 'spawn')
  const other = { ...here, pid: child.pid ?? 0 }
  assert.equal(isCertainlyGone(here, here), false)
  assert.equal(isCertainlyGone(other, here), false)
  child.kill('SIGKILL')
  await once(child, 'exit')
  assert.equal(isCertainlyGone(other, here), true)
  assert.equal(isCertainlyGone({ ...other, host: 'elsewhere' }, here), false)
  assert.equal(isCertainlyGone({ ...other, bootId: 'another boot' }, here), false)
  assert.equal(isCertainlyGone({ ...other, bootId: '' }, { ...here, bootId: '' }), false)
})
