import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HoldfastError } from '@holdfast/sdk'
import { AppError, ERROR_STATUS } from '../core/errors.ts'
import { describeError, UsageError } from './arguments.ts'
import { exitCodeOfError, exitCodeOfOperation } from './exit-codes.ts'

test('an operation ends a command with 0, 3 for warnings, and 1 for every other end', () => {
  const ended = (status: 'completed' | 'failed' | 'cancelled' | 'expired', outcome = null) =>
    exitCodeOfOperation({ status, outcome, error: null })
  assert.equal(exitCodeOfOperation({ status: 'completed', outcome: 'success', error: null }), 0)
  assert.equal(exitCodeOfOperation({ status: 'completed', outcome: 'warning', error: null }), 3)
  assert.deepEqual([ended('failed'), ended('cancelled'), ended('expired')], [1, 1, 1])
})

test('each error code has the exit code of the run contract', () => {
  const codes = Object.fromEntries(
    Object.keys(ERROR_STATUS).map((code) => [code, exitCodeOfError(code)]),
  )
  assert.deepEqual(codes, {
    invalid: 2,
    unauthenticated: 5,
    forbidden: 5,
    not_found: 4,
    conflict: 5,
    too_large: 1,
    damaged: 1,
    rate_limited: 1,
    internal: 1,
    unavailable: 1,
    no_room: 1,
  })
})

test('errors of the core, of a server and of usage are told alike', () => {
  const errors = [
    new AppError('not_found', 'no snapshot x'),
    new HoldfastError('not_found', 404, 'no snapshot x'),
  ]
  for (const error of errors) {
    assert.deepEqual(describeError(error), {
      code: 'not_found',
      message: 'no snapshot x',
      details: {},
    })
  }
  assert.equal(describeError(new UsageError('what?')).code, 'usage')
  assert.equal(describeError(new TypeError('oh')).code, 'internal')
})
