import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { ERROR_STATUS } from '../core/errors.ts'

test('docs/errors.md lists the codes with their statuses, and no others', async () => {
  const text = await readFile(new URL('../../docs/errors.md', import.meta.url), 'utf8')
  const rows = [...text.matchAll(/^\| `(\w+)` \| (\d{3}) \|/gm)]
  const listed = Object.fromEntries(rows.map(([, code, status]) => [code, Number(status)]))
  assert.equal(rows.length, Object.keys(listed).length, 'no code stands there twice')
  assert.deepEqual(listed, ERROR_STATUS)
})
