import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ProgressWire } from '@holdfast/sdk'
import { fillBar, LineThrottle, renderBar, renderLine } from './bar.ts'
import { widthOfText } from './format.ts'

const progress: ProgressWire = {
  phase: 'archiving',
  bytesDone: 1_500_000_000,
  bytesTotal: 4_000_000_000,
  itemsDone: 1234,
  itemsTotal: 5000,
  currentItem: 'photos/2026/summer/berlin/img_0042.jpg',
  transferredBytes: 0,
  transferredTotal: null,
  percent: 37,
  ratePerSecond: 120_000_000,
  secondsLeft: 21,
}

const running = (more: Partial<ProgressWire> = {}) => ({
  status: 'running',
  progress: { ...progress, ...more },
})

test('a wide terminal shows percent, bar, bytes, files, rate, time left, phase and file', () => {
  const [first, second] = renderBar(running(), 140)
  assert.equal(
    first,
    ' 37%  ███████████▏░░░░░░░░░░░░░░░░░░  1.40 GiB / 3.73 GiB  1,234 / 5,000 files  114 MiB/s  0:21 left',
  )
  assert.equal(second, '     archiving  photos/2026/summer/berlin/img_0042.jpg')
})

test('no line is ever wider than the terminal, whatever there is to show', () => {
  const names = ['a', 'ü'.repeat(300), '漢字'.repeat(100), '👩‍👩‍👧'.repeat(50), '\u001b[31mred\n']
  for (let columns = 1; columns <= 200; columns += 1) {
    for (const currentItem of names) {
      const lines = renderBar(running({ currentItem }), columns)
      for (const line of lines) {
        assert(widthOfText(line) <= columns, `${columns}: ${line}`)
        assert.doesNotMatch(line, /\p{Cc}/u)
      }
    }
  }
})

test('a narrow terminal keeps the percentage and drops figures from the least needed on', () => {
  assert.equal(renderBar(running(), 4)[0], ' 37%')
  assert.equal(renderBar(running(), 26)[0], ' 37%  1.40 GiB / 3.73 GiB')
  const [narrow] = renderBar(running(), 50)
  assert.match(narrow, /0:21 left/)
  assert.doesNotMatch(narrow, /files/)
})

test('an unknown total shows what is done, no bar and no percentage', () => {
  const unknown = { bytesTotal: null, itemsTotal: null, percent: null, secondsLeft: null }
  const [first] = renderBar(running(unknown), 100)
  assert.equal(first, ' --%  1.40 GiB  1,234 files  114 MiB/s')
})

test('a time that is withheld is not said', () => {
  assert.doesNotMatch(renderBar(running({ secondsLeft: null }), 120)[0], /left/)
  assert.doesNotMatch(renderLine(running({ secondsLeft: null })), /left/)
})

test('the end of a path that is too long stays', () => {
  const [, second] = renderBar(running(), 35)
  assert.equal(second, '     archiving  …erlin/img_0042.jpg')
})

test('what does not run shows its status in the place of the phase', () => {
  const paused = { status: 'paused', progress: { ...progress, currentItem: null } }
  assert.equal(renderBar(paused, 80)[1], '     paused')
})

test('a bar is as long as asked, empty at 0 and full at 100', () => {
  assert.equal(fillBar(0, 10), '░'.repeat(10))
  assert.equal(fillBar(100, 10), '█'.repeat(10))
  assert.equal(fillBar(null, 10), '')
  for (let percent = 0; percent <= 100; percent += 1) {
    assert.equal(widthOfText(fillBar(percent, 17)), 17)
  }
})

test('a line for a log has the same figures', () => {
  assert.equal(
    renderLine(running()),
    '37%, 1.40 GiB / 3.73 GiB, 1,234 / 5,000 files, 114 MiB/s, 0:21 left, archiving',
  )
})

test('lets through one line in an interval', () => {
  const throttle = new LineThrottle(1000)
  assert.equal(throttle.admit(5), true)
  assert.equal(throttle.admit(1004), false)
  assert.equal(throttle.admit(1005), true)
})
