import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { Operation, Status } from '../../core/operation.ts'
import { completed, NO_PROGRESS, type Progress, percentRunning } from '../../core/progress.ts'
import { frameDetails, OperationFrames, type ProgressFrame } from './frames.ts'

const TOTAL = 104_857_600

const operation = (status: Status, progress: Progress, kind: Operation['kind'] = 'backup') =>
  ({ id: 'op', kind, status, progress, input: {}, failure: null }) as unknown as Operation

const archiving = (bytesDone: number, bytesTotal: number | null = TOTAL): Progress => ({
  ...NO_PROGRESS,
  phase: 'archiving',
  bytesDone,
  bytesTotal,
  percent: percentRunning(bytesDone, bytesTotal),
})

const extracting = (itemsDone: number): Progress => ({
  ...NO_PROGRESS,
  phase: 'extracting',
  itemsDone,
})

const create = (percentage: number, bytes_written: number): ProgressFrame => ({
  type: 'create',
  percentage,
  bytes_written,
  bytes_total: TOTAL,
})

const restore = (percentage: number, bytes_written: number): ProgressFrame => ({
  type: 'restore',
  percentage,
  bytes_written,
  bytes_total: 0,
})

suite('the frames of a backup', () => {
  // seed 000, "Backup Creation Flow".
  test('follow the flow of the seed', () => {
    const frames = new OperationFrames({ kind: 'backup' })
    const steps = [0, 15_728_640, 33_554_432, 60_817_408, 93_323_264]
    const said = steps.flatMap((bytes, index) => frames.progress(archiving(bytes), index * 1000))
    said.push(...frames.end(operation('completed', completed(archiving(TOTAL)))))
    assert.deepEqual(said, [
      create(0, 0),
      create(15, 15_728_640),
      create(32, 33_554_432),
      create(58, 60_817_408),
      create(89, 93_323_264),
      create(100, TOTAL),
    ])
  })

  // seed 000, "Error Flow".
  test('end with -1 and the last byte counts', () => {
    const frames = new OperationFrames({ kind: 'backup' })
    frames.progress(archiving(0), 0)
    frames.progress(archiving(26_214_400), 1000)
    const failed = operation('failed', archiving(26_214_400))
    assert.deepEqual(frames.end(failed), [create(-1, 26_214_400)])
  })

  test('begin once the total is known, with nothing written', () => {
    const frames = new OperationFrames({ kind: 'backup' })
    const scanning = { ...archiving(0, 5), phase: 'scanning' }
    assert.deepEqual(frames.progress(scanning, 0), [])
    assert.deepEqual(frames.progress(archiving(7_000_000), 10), [create(0, 0)])
  })

  test('need one percent and half a second', () => {
    const frames = new OperationFrames({ kind: 'backup' })
    frames.progress(archiving(0), 0)
    assert.deepEqual(frames.progress(archiving(TOTAL / 2), 499), [], 'too soon')
    assert.deepEqual(frames.progress(archiving(TOTAL / 200), 600), [], 'half a percent')
    assert.equal(frames.progress(archiving(TOTAL / 2), 600).length, 1)
  })

  test('go by time and a mebibyte while the total is unknown', () => {
    const frames = new OperationFrames({ kind: 'backup' })
    frames.progress(archiving(0, null), 0)
    assert.deepEqual(frames.progress(archiving(1000, null), 5000), [])
    const [frame] = frames.progress(archiving(2_000_000, null), 5000)
    assert.deepEqual(frame, {
      type: 'create',
      percentage: 0,
      bytes_written: 2_000_000,
      bytes_total: 0,
    })
  })

  test('are first and last, each once, when it ends before it could say anything', () => {
    for (const status of ['failed', 'cancelled', 'expired', 'completed'] as const) {
      const frames = new OperationFrames({ kind: 'backup' })
      const ended = operation(status, NO_PROGRESS)
      const percentages = frames.end(ended).map(({ percentage }) => percentage)
      assert.deepEqual(percentages, [0, status === 'completed' ? 100 : -1])
      assert.deepEqual(frames.end(ended), [], 'no second end')
      assert.deepEqual(frames.progress(archiving(1), 9999), [], 'nothing after the end')
    }
  })

  test('tell a socket that comes in the middle where it stands, at once', () => {
    const frames = new OperationFrames({ kind: 'backup' })
    assert.deepEqual(frames.join(archiving(TOTAL / 2), 0), [create(50, TOTAL / 2)])
    assert.deepEqual(frames.progress(archiving(TOTAL), 100), [], 'the throttle counts from there')
  })

  test('take less than 100 ms for a thousand checks', () => {
    const frames = new OperationFrames({ kind: 'backup' })
    const startedAt = performance.now()
    for (let bytes = 0; bytes < 1000; bytes += 1) frames.progress(archiving(bytes), bytes)
    assert.ok(performance.now() - startedAt < 100)
  })
})

suite('the frames of a restore', () => {
  // seed 000, "Backup Restore Flow".
  test('count files in steps of ten, and exactly at the end', () => {
    const frames = new OperationFrames({ kind: 'restore' })
    const said = [0, 3, 12, 29, 34].flatMap((files, index) =>
      frames.progress(extracting(files), index * 1000),
    )
    said.push(...frames.end(operation('completed', extracting(35), 'restore')))
    assert.deepEqual(said, [
      restore(0, 0),
      restore(0, 10),
      restore(0, 20),
      restore(0, 30),
      restore(100, 35),
    ])
  })
})

suite('the last frame', () => {
  test('never counts less than the frame before, where the record is behind', () => {
    const frames = new OperationFrames({ kind: 'backup' })
    frames.progress(archiving(0), 0)
    frames.progress(archiving(TOTAL / 2), 1000)
    assert.deepEqual(frames.end(operation('failed', archiving(TOTAL / 4))), [create(-1, TOTAL / 2)])
  })

  test('is the only one that says why it failed', () => {
    const failed = { ...operation('failed', NO_PROGRESS), failure: { message: 'no such folder' } }
    const [first, last] = new OperationFrames(failed).end(failed as Operation)
    assert.ok(first && last)
    const errorOf = (frame: ProgressFrame) =>
      frameDetails(frame, failed as Operation, NO_PROGRESS).error
    assert.deepEqual([errorOf(first), errorOf(last)], [null, 'no such folder'])
  })
})

test('details follow the four fields and never carry a secret', () => {
  const details = frameDetails(create(5, 5), operation('running', archiving(5)), archiving(5))
  assert.deepEqual(Object.keys(details), [
    'operation_id',
    'backup_id',
    'phase',
    'rate_bps',
    'eta_seconds',
    'files_done',
    'upload_bytes',
    'upload_total',
    'error',
  ])
})
