import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import type { JsonObject } from '../core/json.ts'
import type { SourceKind } from '../core/kinds.ts'
import { createSecrets } from '../platform/secrets.ts'
import { hideSecrets, openSource, parseSourceConfig, sealConfig } from './source-configs.ts'

const MYSQL = { host: 'db', port: 3306, user: 'backup', password: 'p4ss' }
const VOLUME = { path: '/mnt/v', namespace: 'prod', pod: 'db-0', volume: 'data' }

const source = (kind: SourceKind, config: JsonObject) => ({
  id: 's1',
  accountId: 'anna',
  kind,
  name: 'x',
  deviceId: null,
  config,
  createdAtMs: 0,
})

test('each kind takes the shape it is documented with', () => {
  const good: [SourceKind, JsonObject][] = [
    ['directory', { path: '/srv/world-1' }],
    ['directory', { path: '/srv/world-1', ignore: '*.log\n!keep', compression: 'zstd' }],
    ['volume', VOLUME],
    ['volume', { ...VOLUME, repository: 's3:https://x/y', password: 'p' }],
    ['mysql', MYSQL],
    ['mysql', { ...MYSQL, databases: ['a', 'b'], tls: true }],
    ['rsync', { from: '/srv/lab/' }],
    ['rsync', { from: 'pi@lab-1:/data/', sets: { results: 'results', videos: 'v' }, sshKey: 'k' }],
  ]
  for (const [kind, config] of good) assert.deepEqual(parseSourceConfig(kind, config), config)
})

test('a path is kept without dots and a slash at its end', () => {
  assert.deepEqual(parseSourceConfig('directory', { path: '/srv/./a/../world/' }), {
    path: '/srv/world',
  })
})

test('what does not fit is refused, naming each field at fault', () => {
  const bad: [SourceKind, JsonObject, RegExp][] = [
    ['directory', {}, /path:/],
    ['directory', { path: 'world' }, /path: must be an absolute path, such as \/srv\/world/],
    ['directory', { path: '/a\0b' }, /path: holds a NUL byte/],
    ['directory', { path: '/a', compression: 'rar' }, /compression:/],
    ['directory', { path: '/a', ingore: 'x' }, /ingore/],
    ['volume', { ...VOLUME, pod: 'Not Fine' }, /pod: no DNS name/],
    ['mysql', { ...MYSQL, port: 0, user: '' }, /port: .*user: /],
    ['mysql', { host: 'db', port: 3306, user: 'u' }, /password:/],
    ['rsync', { from: '-e evil' }, /from: must be an absolute path, or user@host:\/path\//],
    ['rsync', { from: '-oProxyCommand=evil:/x' }, /from:/],
    ['rsync', { from: 'a@-oProxyCommand=evil:/x' }, /from:/],
    ['rsync', { from: '/x', sets: { '../up': 'x' } }, /sets/],
    ['index', {}, /POST \/api\/v1\/index\/create/],
  ]
  for (const [kind, config, message] of bad) {
    assert.throws(() => parseSourceConfig(kind, config), { code: 'invalid', message })
  }
})

test('a refusal never repeats a secret', () => {
  const config = { ...MYSQL, port: 'x', password: 12345678 as unknown as string }
  assert.throws(
    () => parseSourceConfig('mysql', config),
    (error: Error) => !JSON.stringify([error, error.message]).includes('12345678'),
  )
})

test('secrets are sealed at rest, hidden from people and opened for engines', () => {
  const secrets = createSecrets(randomBytes(32))
  const sealed = source('mysql', sealConfig(secrets, source('mysql', MYSQL), null))
  assert.ok(!JSON.stringify(sealed).includes('p4ss'))
  assert.equal(hideSecrets(sealed).config['password'], '***')
  assert.deepEqual(openSource(secrets, sealed).config, MYSQL)
  assert.throws(() => openSource(secrets, { ...sealed, id: 's2' }), { code: 'damaged' })
})

test('*** keeps the secret that is there, and is refused where none is', () => {
  const secrets = createSecrets(randomBytes(32))
  const first = sealConfig(secrets, source('mysql', MYSQL), null)
  const change = (config: JsonObject) => {
    const sealed = sealConfig(secrets, source('mysql', { ...MYSQL, ...config }), first)
    return openSource(secrets, source('mysql', sealed)).config
  }
  assert.deepEqual(change({ password: '***', host: 'db2' }), { ...MYSQL, host: 'db2' })
  assert.deepEqual(change({ password: 'new' }), { ...MYSQL, password: 'new' })
  const kept = source('volume', { ...VOLUME, password: '***' })
  assert.throws(() => sealConfig(secrets, kept, null), { code: 'invalid' })
  assert.throws(() => sealConfig(secrets, kept, VOLUME), /password is "\*\*\*"/)
})
