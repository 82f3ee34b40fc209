import assert from 'node:assert/strict'
import { isAbsolute } from 'node:path'
import { test } from 'node:test'
import { parseConfig, weakKeys } from './config.ts'
import { AppError } from './core/errors.ts'

test('an empty environment gives the defaults of the run contract', () => {
  const config = parseConfig({ HOLDFAST_HOST: '  ' })
  assert.equal(config.host, '127.0.0.1')
  assert.equal(config.port, 8080)
  assert.ok(isAbsolute(config.dataFolder) && config.dataFolder.endsWith('data'))
  assert.equal(config.databaseUrl, null)
  assert.deepEqual([...config.roles], ['api', 'worker'])
  assert.equal(config.tls, null)
  assert.equal(config.allowPlainHttp, false)
})

test('all mistakes are told at once, and a password in one of them is not', () => {
  const wrong = {
    HOLDFAST_PORT: '70000',
    HOLDFAST_ROLES: 'api,boss',
    LOG_LEVEL: 'loud',
    DATABASE_URL: 'mysql://root:hunter2@db/x',
    HOLDFAST_TLS_CERT: '/etc/cert.pem',
  }
  assert.throws(
    () => parseConfig(wrong),
    (error) => {
      assert.ok(error instanceof AppError)
      for (const name of Object.keys(wrong)) assert.match(error.message, new RegExp(name))
      assert.match(error.message, /"70000".*0 to 65535/)
      assert.doesNotMatch(error.message, /hunter2/)
      return true
    },
  )
})

test('roles, lists and flags are read', () => {
  const config = parseConfig({
    HOLDFAST_ROLES: 'worker',
    HOLDFAST_ALLOWED_ORIGINS: 'https://a.example, https://b.example',
    HOLDFAST_BEHIND_PROXY: 'true',
  })
  assert.deepEqual([...config.roles], ['worker'])
  assert.deepEqual(config.allowedOrigins, ['https://a.example', 'https://b.example'])
  assert.equal(config.behindProxy, true)
  assert.equal(config.roots, null)
})

test('roots are absolute folders, and a wrong list never means that everything is allowed', () => {
  const roots = (text: string) => parseConfig({ HOLDFAST_ROOTS: text }).roots
  assert.deepEqual(roots('/srv/{account}, /srv/shared/'), ['/srv/{account}', '/srv/shared'])
  assert.deepEqual(roots('/'), ['/'])
  for (const wrong of [',', 'srv', '/srv,{account}', '~/x']) {
    assert.throws(() => roots(wrong), /HOLDFAST_ROOTS is .* must list absolute folders/, wrong)
  }
})

test('a short key works, and is told of without its value', () => {
  const short = parseConfig({
    HOLDFAST_JWT_SECRET: 'fifteen-bytes-x',
    HOLDFAST_ADMIN_TOKEN: 'elevenchars',
  })
  const said = weakKeys(short)
  assert.equal(said.length, 2)
  assert.doesNotMatch(said.join(), /fifteen-bytes|elevenchars/)
  const long = { HOLDFAST_JWT_SECRET: 'sixteen-bytes-xx', HOLDFAST_ADMIN_TOKEN: 'twelve-chars' }
  assert.deepEqual(weakKeys(parseConfig(long)), [])
  assert.deepEqual(weakKeys(parseConfig({})), [])
})
