import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { chmod, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import {
  createSecrets,
  equalSecrets,
  openSecrets,
  randomToken,
  readOrCreateSecret,
} from './secrets.ts'

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-secrets-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

test('a sealed text opens in its context and shows nothing of itself', () => {
  const secrets = createSecrets(randomBytes(32))
  for (const text of ['', 'correct horse', 'ä€🐴', 'x'.repeat(10_000)]) {
    const sealed = secrets.seal(text, 'source:1:password')
    assert.equal(secrets.open(sealed, 'source:1:password'), text)
    assert.ok(text === '' || !sealed.includes(text))
    assert.notEqual(secrets.seal(text, 'source:1:password'), sealed)
  }
})

test('a sealed text opens nowhere else', () => {
  const secrets = createSecrets(randomBytes(32))
  const sealed = secrets.seal('secret', 'source:1:password')
  const [version, body = ''] = sealed.split(':')
  const damaged = { code: 'damaged' }
  assert.throws(() => secrets.open(sealed, 'source:2:password'), damaged)
  assert.throws(() => createSecrets(randomBytes(32)).open(sealed, 'source:1:password'), damaged)
  for (let at = 0; at < body.length - 1; at += 1) {
    const changed = `${body.slice(0, at)}${body[at] === 'A' ? 'B' : 'A'}${body.slice(at + 1)}`
    assert.throws(
      () => secrets.open(`${version}:${changed}`, 'source:1:password'),
      damaged,
      `${at}`,
    )
  }
  for (const odd of ['', 'plain', `${version}:`, `${version}:AAAA`, `sealed9:${body}`]) {
    assert.throws(() => secrets.open(odd, 'source:1:password'), damaged, odd)
  }
})

test('the key of a data folder stays the same and is for its owner alone', async (t) => {
  const keyFile = join(await temporaryFolder(t), 'data', 'seal.key')
  const sealed = (await openSecrets(keyFile)).seal('secret', 'x')
  assert.equal((await stat(keyFile)).mode & 0o777, 0o600)
  await chmod(keyFile, 0o644)
  assert.equal((await openSecrets(keyFile)).open(sealed, 'x'), 'secret')
  assert.equal((await stat(keyFile)).mode & 0o777, 0o600)
})

test('a key file that was cut is refused, not made anew', async (t) => {
  const keyFile = join(await temporaryFolder(t), 'seal.key')
  await writeFile(keyFile, 'short')
  await assert.rejects(openSecrets(keyFile), { code: 'damaged' })
})

test('of many that make one secret at once all answer the same', async (t) => {
  const path = join(await temporaryFolder(t), 'secret')
  const made = await Promise.all(
    Array.from({ length: 8 }, () => readOrCreateSecret(path, () => randomToken())),
  )
  assert.equal(new Set(made).size, 1)
})

test('secrets are equal only when every character is', () => {
  assert.ok(equalSecrets('abc', 'abc'))
  for (const other of ['', 'ab', 'abcd', 'abd', 'ABC'])
    assert.ok(!equalSecrets('abc', other), other)
})
