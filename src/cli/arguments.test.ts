import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  oneOf,
  onePositional,
  parseArguments,
  parseExpiry,
  UsageError,
  wholeNumber,
} from './arguments.ts'

const NOW_MS = Date.UTC(2026, 0, 1)

test('options that are unknown, lack a value or were given one too many are wrong usage', () => {
  for (const args of [['--nope'], ['--name'], ['--json=yes'], ['-x']]) {
    assert.throws(() => parseArguments(args, { name: { type: 'string' } }), UsageError, args[0])
  }
})

test('every command takes --json, --data and --url', () => {
  const { values } = parseArguments(['--json', '--data', 'd', '--url=u'], {})
  assert.deepEqual({ ...values }, { json: true, data: 'd', url: 'u' })
})

test('an option may be given more than once where it says so', () => {
  const { values } = parseArguments(['--path', 'a', '--path', 'b'], {
    path: { type: 'string', multiple: true },
  })
  assert.deepEqual(values.path, ['a', 'b'])
})

test('a path that begins with a dash can be given after --', () => {
  const { positionals } = parseArguments(['--', '-odd'], {})
  assert.equal(onePositional(positionals, 'PATH'), '-odd')
})

test('names the argument that is missing and the one that is too many', () => {
  assert.throws(() => onePositional([], 'SNAPSHOT'), /^UsageError: SNAPSHOT is missing$/)
  assert.throws(() => onePositional(['a', 'b'], 'PATH'), /one argument too many: "b"/)
})

test('says which words are allowed', () => {
  assert.equal(oneOf('--mode', 'merge', ['merge', 'replace']), 'merge')
  assert.throws(() => oneOf('--mode', 'swap', ['merge', 'replace']), /one of merge, replace/)
})

test('a count is a whole number within its limits', () => {
  assert.equal(wholeNumber('--limit', '7', 1, 10), 7)
  for (const value of ['0', '11', '1.5', 'x', '', ' ']) {
    assert.throws(() => wholeNumber('--limit', value, 1, 10), UsageError, value)
  }
})

test('an expiry is a length or a time, and in the future', () => {
  assert.equal(parseExpiry('12h', NOW_MS), '2026-01-01T12:00:00.000Z')
  assert.equal(parseExpiry('30d', NOW_MS), '2026-01-31T00:00:00.000Z')
  assert.equal(parseExpiry('2027-01-01T00:00:00Z', NOW_MS), '2027-01-01T00:00:00.000Z')
  for (const value of ['soon', '30', '-1d', '0d', '2025-12-31', '1y', '']) {
    assert.throws(() => parseExpiry(value, NOW_MS), UsageError, value)
  }
})
