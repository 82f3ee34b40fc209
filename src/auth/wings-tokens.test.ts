import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type JWTPayload, SignJWT } from 'jose'
import { isWingsToken, WingsTokens, wingsMay } from './wings-tokens.ts'

const SECRET = new TextEncoder().encode('node token')
const SERVER = '0b0c4f0a-8a5e-4b1e-9d3c-6f2f0f6f8f01'
const START_MS = Date.UTC(2026, 0, 1) + 700
const START = Math.floor(START_MS / 1000)

const CLAIMS = {
  server_uuid: SERVER.toUpperCase(),
  user_uuid: 'user-1',
  permissions: ['websocket.connect', 'backup.read'],
  jti: 'id-1',
  scope: 'websocket backup-download',
  iat: START,
  exp: START + 600,
}

const sign = (claims: Record<string, unknown>, secret = SECRET) =>
  new SignJWT(claims as JWTPayload).setProtectedHeader({ alg: 'HS256' }).sign(secret)

const without = (name: keyof typeof CLAIMS) =>
  Object.fromEntries(Object.entries(CLAIMS).filter(([key]) => key !== name))

test('a token says its server, user, permissions and scopes', async () => {
  const tokens = new WingsTokens(SECRET, START_MS)
  const token = await tokens.identify(await sign(CLAIMS), START_MS)
  assert.deepEqual(token, {
    serverUuid: SERVER,
    userUuid: 'user-1',
    permissions: ['websocket.connect', 'backup.read'],
    tokenId: 'id-1',
    issuedAtMs: START * 1000,
    expiresAtMs: (START + 600) * 1000,
    scopes: ['websocket', 'backup-download'],
    backupUuid: null,
    uniqueId: null,
  })
  tokens.assertMayConnect(token, SERVER)
  assert.ok(wingsMay(token, 'backup.read'))
  assert.ok(!wingsMay(token, 'backup.delete'))
})

test('each refusal has the sentence of the dialect', async () => {
  const tokens = new WingsTokens(SECRET, START_MS)
  const refusal = async (claims: Record<string, unknown>, atMs = START_MS) =>
    tokens.identify(await sign(claims), atMs).then(
      () => 'accepted',
      (error: Error) => error.message,
    )
  const denied = 'jwt: created too far in past (denylist)'
  assert.equal(await refusal(without('iat')), denied)
  assert.equal(await refusal(without('server_uuid')), denied)
  assert.equal(await refusal({ ...CLAIMS, server_uuid: '' }), denied)
  assert.equal(await refusal({ ...CLAIMS, user_uuid: '' }), denied)
  assert.equal(await refusal({ ...CLAIMS, iat: START - 1 }), denied)
  assert.equal(await refusal(CLAIMS, (START + 599) * 1000), 'accepted')
  assert.equal(await refusal(CLAIMS, (START + 600) * 1000), 'jwt: exp claim is invalid')
  const message = (token: string | null) =>
    tokens.identify(token, START_MS).catch((error: Error) => error.message)
  assert.equal(await message(null), 'jwt: no jwt present')
  assert.equal(await message(''), 'jwt: no jwt present')
  assert.equal(await message('x.y.z'), 'jwt: malformed token')
  const forged = await sign(CLAIMS, new TextEncoder().encode('another'))
  assert.equal(await message(forged), 'jwt: HMAC verification failed')
})

test('connecting needs the permission and the right server', async () => {
  const tokens = new WingsTokens(SECRET, START_MS)
  const token = await tokens.identify(await sign(CLAIMS), START_MS)
  const mute = { ...token, permissions: ['backup.read'] }
  assert.throws(() => tokens.assertMayConnect(mute, SERVER), {
    message: 'jwt: missing connect permission',
  })
  assert.throws(() => tokens.assertMayConnect(token, SERVER.replace('0', '1')), {
    message: 'jwt: server uuid mismatch',
  })
  tokens.assertMayConnect({ ...token, permissions: ['*'] }, SERVER)
})

test('a denied id is denied for what was issued until then, on its server', async () => {
  const tokens = new WingsTokens(SECRET, START_MS)
  const token = await tokens.identify(await sign(CLAIMS), START_MS)
  tokens.denials.denyToken(SERVER.toUpperCase(), 'id-1', START_MS)
  assert.throws(() => tokens.assertGood(token, START_MS), /denylist/)
  // A panel gives the same id again: MD5 of user and server.
  tokens.assertGood({ ...token, issuedAtMs: (START + 1) * 1000 }, START_MS)
  tokens.assertGood({ ...token, tokenId: 'id-2' }, START_MS)
  tokens.assertGood({ ...token, tokenId: null }, START_MS)
  tokens.assertGood({ ...token, serverUuid: 'another' }, START_MS)
})

test('a revoked user is denied at or before the moment, and good again with a later token', async () => {
  const tokens = new WingsTokens(SECRET, START_MS)
  const token = await tokens.identify(await sign(CLAIMS), START_MS)
  const revokedAtMs = (START + 10) * 1000
  tokens.denials.denyUser(SERVER.toUpperCase(), 'USER-1', revokedAtMs)
  const issued = (atMs: number) => tokens.assertGood({ ...token, issuedAtMs: atMs }, START_MS)
  assert.throws(() => issued(revokedAtMs - 1000), /denylist/)
  assert.throws(() => issued(revokedAtMs), /denylist/)
  issued(revokedAtMs + 1000)
  tokens.assertGood({ ...token, userUuid: 'user-2' }, START_MS)
  const elsewhere = { ...token, serverUuid: 'other' }
  tokens.assertGood(elsewhere, START_MS)
  tokens.denials.denyUserEverywhere('user-1', revokedAtMs)
  assert.throws(() => tokens.assertGood(elsewhere, START_MS), /denylist/)
  tokens.assertGood({ ...elsewhere, userUuid: 'user-2' }, START_MS)
})

test('a flood of denials on one server denies more there, and changes nothing elsewhere', async () => {
  const tokens = new WingsTokens(SECRET, START_MS)
  const token = await tokens.identify(await sign(CLAIMS), START_MS)
  const elsewhere = { ...token, serverUuid: 'another' }
  tokens.denials.denyToken('another', 'id-1', START_MS)
  for (let index = 0; index < 60_000; index += 1) {
    tokens.denials.denyToken(SERVER, `other-${index}`, START_MS)
  }
  assert.throws(() => tokens.assertGood(token, START_MS), /denylist/)
  tokens.assertGood({ ...token, issuedAtMs: (START + 1) * 1000 }, START_MS)
  assert.throws(() => tokens.assertGood(elsewhere, START_MS), /denylist/, 'still denied')
  tokens.assertGood({ ...elsewhere, tokenId: 'id-2' }, START_MS)
})

test('ids of users are the same in upper and lower case', async () => {
  const tokens = new WingsTokens(SECRET, START_MS)
  const signed = await sign({ ...CLAIMS, user_uuid: 'ABCDEF' })
  tokens.denials.denyUser(SERVER, 'AbCdEf', START_MS)
  await assert.rejects(tokens.identify(signed, START_MS), /denylist/)
})

test('tokens of a panel are told from others by their claims', async () => {
  assert.ok(isWingsToken(await sign(CLAIMS)))
  assert.ok(!isWingsToken(await sign({ sub: 'anna' })))
  for (const other of ['', 'hf_x', 'a.b', 'a.b.c']) assert.ok(!isWingsToken(other))
})
