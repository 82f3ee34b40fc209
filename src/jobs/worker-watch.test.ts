import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WorkerWatch } from './worker-watch.ts'

const one = (beat: number) => [{ id: 'w1', beat }]

test('a worker whose beat stands still for seven seconds of looking has vanished', () => {
  const watch = new WorkerWatch()
  for (let nowMs = 0; nowMs < 7_000; nowMs += 1_000) {
    assert.deepEqual(watch.look(one(4), nowMs), [], `after ${nowMs} ms`)
  }
  assert.deepEqual(watch.look(one(4), 7_000), ['w1'])
})

test('a worker that beats never vanishes, however its beat counts', () => {
  const watch = new WorkerWatch()
  for (let nowMs = 0; nowMs < 60_000; nowMs += 1_000) {
    assert.deepEqual(watch.look(one(Math.floor(nowMs / 2_000)), nowMs), [])
  }
})

test('a watcher that stood still itself begins to watch anew', () => {
  const watch = new WorkerWatch()
  watch.look(one(4), 0)
  assert.deepEqual(watch.look(one(4), 60_000), [], 'it has not looked for a minute')
  for (let nowMs = 61_000; nowMs < 67_000; nowMs += 1_000) {
    assert.deepEqual(watch.look(one(4), nowMs), [])
  }
  assert.deepEqual(watch.look(one(4), 67_000), ['w1'])
})

test('each worker is watched for itself', () => {
  const watch = new WorkerWatch()
  for (let nowMs = 0; nowMs <= 7_000; nowMs += 1_000) {
    const late = nowMs >= 3_000 ? [{ id: 'w3', beat: 0 }] : []
    const workers = [{ id: 'w1', beat: 1 }, { id: 'w2', beat: nowMs }, ...late]
    assert.deepEqual(watch.look(workers, nowMs), nowMs === 7_000 ? ['w1'] : [])
  }
})
