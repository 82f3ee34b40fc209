import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { type JWTPayload, SignJWT } from 'jose'
import { createLog } from '../platform/log.ts'
import { openSqlite } from '../store/sqlite.ts'
import { Auth } from './auth.ts'
import { SESSION_MS, SIGN_IN_LINK_MS } from './tokens.ts'

const SECRET = 'short secret'
const ADMIN = 'the-admin-token'
const START_MS = Date.UTC(2026, 0, 1)
const PAGE = { limit: 50, cursor: null }

async function setUp(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-auth-'))
  const database = await openSqlite({ file: join(folder, 'store.sqlite') })
  t.after(async () => {
    await database.close()
    await rm(folder, { recursive: true, force: true })
  })
  const time = { nowMs: START_MS }
  const start = () =>
    new Auth({
      database,
      jwtSecret: SECRET,
      adminToken: ADMIN,
      clock: { nowMs: () => time.nowMs },
      log: createLog('silent'),
    })
  return { auth: start(), restart: start, time, folder }
}

const sign = (claims: JWTPayload, secret = SECRET, alg = 'HS256') =>
  new SignJWT(claims).setProtectedHeader({ alg }).sign(new TextEncoder().encode(secret))

const base64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

const unauthenticated = { code: 'unauthenticated' }

describe('Auth.identify', () => {
  test('the admin token is everything', async (t) => {
    const { auth } = await setUp(t)
    assert.deepEqual(await auth.identify(ADMIN), {
      accountId: 'admin',
      name: 'Admin',
      permissions: ['admin'],
      tokenId: null,
      expiresAtMs: null,
    })
    for (const wrong of [null, '', ADMIN.slice(1), `${ADMIN}x`, 'hf_unknown', 'x'.repeat(20_000)]) {
      await assert.rejects(auth.identify(wrong), unauthenticated)
    }
  })

  test('a JWT of an unknown sub makes that account, once', async (t) => {
    const { auth } = await setUp(t)
    const token = await sign({ sub: 'anna@example.org', name: 'Anna', permissions: ['*'] })
    const [caller] = await Promise.all([auth.identify(token), auth.identify(token)])
    assert.deepEqual(caller, {
      accountId: 'anna@example.org',
      name: 'Anna',
      permissions: ['*'],
      tokenId: null,
      expiresAtMs: null,
    })
    const admin = await auth.identify(ADMIN)
    const { items } = await auth.accounts.list(admin, PAGE)
    assert.deepEqual(items.map(({ id }) => id).sort(), ['admin', 'anna@example.org'])
    const made = await auth.audit.list(admin, { ...PAGE, topicId: 'anna@example.org' })
    assert.deepEqual(
      made.items.map(({ action }) => action),
      ['account.create'],
    )
  })

  test('a JWT is refused for each thing that can be wrong with it', async (t) => {
    const { auth, time } = await setUp(t)
    const seconds = time.nowMs / 1000
    const claims = { sub: 'anna', permissions: ['*'] }
    const good = await sign(claims)
    const [header = '', body = '', signature = ''] = good.split('.')
    const bad: Record<string, string> = {
      'another secret': await sign(claims, 'another secret'),
      expired: await sign({ ...claims, exp: seconds }),
      'not yet': await sign({ ...claims, nbf: seconds + 60 }),
      'HS512, same secret': await sign(claims, SECRET, 'HS512'),
      'alg none, no signature': `${base64({ alg: 'none' })}.${body}.`,
      'alg none, old signature': `${base64({ alg: 'none' })}.${body}.${signature}`,
      'no signature': `${header}.${body}.`,
      'another body': `${header}.${base64({ sub: 'ben', permissions: ['admin'] })}.${signature}`,
      'sub as a number': await sign({ ...claims, sub: 7 as never }),
      'sub as a list': await sign({ ...claims, sub: ['anna'] as never }),
      'no sub': await sign({ permissions: ['*'] }),
      'odd sub': await sign({ ...claims, sub: 'a b' }),
      'long sub': await sign({ ...claims, sub: 'a'.repeat(129) }),
      'permissions as text': await sign({ sub: 'anna', permissions: '*' }),
      'token of a panel': await sign({ ...claims, server_uuid: 'x', user_uuid: 'y' }),
    }
    for (const [what, token] of Object.entries(bad)) {
      await assert.rejects(auth.identify(token), unauthenticated, what)
    }
    await auth.identify(await sign({ ...claims, exp: seconds + 1, nbf: seconds }))
    assert.equal((await auth.identify(await sign({ sub: 'bare' }))).permissions.length, 0)
  })
})

describe('API tokens', () => {
  test('a token opens what it was made for until it is revoked', async (t) => {
    const { auth, restart, folder } = await setUp(t)
    const anna = await auth.identify(await sign({ sub: 'anna', permissions: ['*'] }))
    const { token, record } = await auth.tokens.create(anna, {
      name: 'script',
      permissions: ['sources.read'],
      expiresAtMs: null,
    })
    assert.match(token, /^hf_[\w-]{43}$/)
    const caller = await restart().identify(token)
    assert.equal(caller.accountId, 'anna')
    assert.deepEqual(caller.permissions, ['sources.read'])
    assert.equal(caller.tokenId, record.id)
    for (const file of ['store.sqlite', 'store.sqlite-wal']) {
      assert.ok(!(await readFile(join(folder, file))).includes(token), 'it is nowhere in the clear')
    }
    await auth.tokens.revoke(anna, record.id)
    await auth.tokens.revoke(anna, record.id)
    await assert.rejects(auth.identify(token), /revoked/)
  })

  test('a token ends at its time', async (t) => {
    const { auth, time } = await setUp(t)
    const admin = await auth.identify(ADMIN)
    const request = { name: 'x', permissions: ['*'], expiresAtMs: START_MS + 1000 }
    const { token } = await auth.tokens.create(admin, request)
    time.nowMs += 999
    await auth.identify(token)
    time.nowMs += 1
    await assert.rejects(auth.identify(token), /expired/)
    await assert.rejects(auth.tokens.create(admin, request), { code: 'invalid' })
  })

  test('what is made outlives no token that made it: tokens, links, sessions, and what those make', async (t) => {
    const { auth, time } = await setUp(t)
    const endMs = START_MS + 60_000
    const brief = await auth.identify(
      await sign({ sub: 'anna', permissions: ['*'], exp: endMs / 1000 }),
    )
    assert.equal(brief.expiresAtMs, endMs)
    for (const expiresAtMs of [null, endMs + 1]) {
      const request = { name: 'x', permissions: ['*'], expiresAtMs }
      const { record, token } = await auth.tokens.create(brief, request)
      assert.equal(record.expiresAtMs, endMs)
      const made = await auth.identify(token)
      assert.equal((await auth.tokens.create(made, request)).record.expiresAtMs, endMs)
    }
    const early = { name: 'x', permissions: ['*'], expiresAtMs: endMs - 1 }
    assert.equal((await auth.tokens.create(brief, early)).record.expiresAtMs, endMs - 1)
    const link = await auth.createSignInLink(brief)
    assert.equal(link.expiresAtMs, endMs)
    const longer = link.code.replace(String(endMs), String(endMs + 1))
    assert.notEqual(longer, link.code)
    await assert.rejects(auth.exchangeSignIn(longer), unauthenticated)
    await assert.rejects(auth.exchangeSignIn(link.code.split('.')[0] ?? ''), unauthenticated)
    const session = await auth.exchangeSignIn(link.code)
    assert.equal(session.record.expiresAtMs, endMs)
    const second = await auth.createSignInLink(await auth.identify(session.token))
    assert.equal((await auth.exchangeSignIn(second.code)).record.expiresAtMs, endMs)
    time.nowMs = endMs
    await assert.rejects(auth.identify(session.token), /expired/)
  })

  test('a token that can do more than the caller is not his to revoke', async (t) => {
    const { auth } = await setUp(t)
    const few = await auth.identify(
      await sign({ sub: 'anna', permissions: ['tokens.write', 'sources.read'] }),
    )
    const all = await auth.identify(await sign({ sub: 'anna', permissions: ['*'] }))
    const make = (permissions: string[]) =>
      auth.tokens.create(all, { name: 'x', permissions, expiresAtMs: null })
    const [weak, strong] = [await make(['sources.read']), await make(['sources.write'])]
    await auth.tokens.revoke(few, weak.record.id)
    await assert.rejects(auth.tokens.revoke(few, strong.record.id), { code: 'forbidden' })
    await auth.identify(strong.token)
    await auth.tokens.revoke(await auth.identify(ADMIN), strong.record.id)
    await assert.rejects(auth.identify(strong.token), /revoked/)
  })

  test('nobody gives what he lacks, and unknown names are refused', async (t) => {
    const { auth } = await setUp(t)
    const few = await auth.identify(
      await sign({ sub: 'few', permissions: ['tokens.write', 'sources.read'] }),
    )
    const all = await auth.identify(await sign({ sub: 'all', permissions: ['*'] }))
    const make = (caller: typeof few, permissions: string[], accountId?: string) =>
      auth.tokens.create(caller, {
        name: 'x',
        permissions,
        expiresAtMs: null,
        ...(accountId === undefined ? {} : { accountId }),
      })
    await make(few, ['sources.read'])
    await make(all, ['*'])
    for (const permissions of [
      ['*'],
      ['admin'],
      ['sources.write'],
      ['sources.read', 'admin.audit'],
    ]) {
      await assert.rejects(make(few, permissions), { code: 'forbidden' }, permissions.join())
    }
    await assert.rejects(make(all, ['admin']), { code: 'forbidden' })
    await assert.rejects(make(all, ['admin.audit']), { code: 'forbidden' })
    await assert.rejects(make(all, ['sources.raed']), /"sources.raed"; there are/)
    await assert.rejects(make(all, ['*'], 'few'), { code: 'forbidden' })
    const { token } = await make(await auth.identify(ADMIN), ['*'], 'new')
    assert.equal((await auth.identify(token)).accountId, 'new')
    const reader = await auth.identify(await sign({ sub: 'r', permissions: ['tokens.read'] }))
    await assert.rejects(make(reader, ['tokens.read']), { code: 'forbidden' })
  })

  test('tokens of others are not there', async (t) => {
    const { auth } = await setUp(t)
    const anna = await auth.identify(await sign({ sub: 'anna', permissions: ['*'] }))
    const ben = await auth.identify(await sign({ sub: 'ben', permissions: ['*'] }))
    const request = { name: 'x', permissions: ['*'], expiresAtMs: null }
    const { record, token } = await auth.tokens.create(anna, request)
    await assert.rejects(auth.tokens.revoke(ben, record.id), { code: 'not_found' })
    assert.deepEqual((await auth.tokens.list(ben, { ...PAGE, accountId: 'anna' })).items, [])
    assert.equal((await auth.tokens.list(anna, PAGE)).items.length, 1)
    await auth.identify(token)
  })
})

describe('sign-in links', () => {
  test('a link signs in once, also after a restart, and not by two at once', async (t) => {
    const { auth, restart } = await setUp(t)
    const { code } = await auth.createSignInLink(await auth.adminCaller())
    const settled = await Promise.allSettled([1, 2, 3].map(() => restart().exchangeSignIn(code)))
    const won = settled.filter((one) => one.status === 'fulfilled')
    assert.equal(won.length, 1)
    const caller = await auth.identify(won[0]?.value.token ?? null)
    assert.deepEqual([caller.accountId, caller.permissions], ['admin', ['admin']])
    await assert.rejects(auth.exchangeSignIn(code), /was used or has expired/)
  })

  test('link and session end at their times', async (t) => {
    const { auth, time } = await setUp(t)
    const late = await auth.createSignInLink(await auth.adminCaller())
    const used = await auth.createSignInLink(await auth.adminCaller())
    const { token } = await auth.exchangeSignIn(used.code)
    time.nowMs += SIGN_IN_LINK_MS
    await assert.rejects(auth.exchangeSignIn(late.code), unauthenticated)
    time.nowMs = START_MS + SESSION_MS - 1
    await auth.identify(token)
    time.nowMs += 1
    await assert.rejects(auth.identify(token), unauthenticated)
  })

  test('a code is no token, a token is no code, and codes are not listed', async (t) => {
    const { auth } = await setUp(t)
    const admin = await auth.adminCaller()
    const { code } = await auth.createSignInLink(admin)
    await assert.rejects(auth.identify(code), unauthenticated)
    const { token } = await auth.tokens.create(admin, {
      name: 'x',
      permissions: ['admin'],
      expiresAtMs: START_MS + 5000,
    })
    await assert.rejects(auth.exchangeSignIn(token), unauthenticated)
    const names = (await auth.tokens.list(admin, PAGE)).items.map(({ name }) => name)
    assert.deepEqual(names, ['x'])
    await auth.exchangeSignIn(code)
  })
})

describe('accounts and audit', () => {
  test('accounts are for admins, one’s own for everybody', async (t) => {
    const { auth } = await setUp(t)
    const anna = await auth.identify(await sign({ sub: 'anna', permissions: ['*'] }))
    await auth.identify(await sign({ sub: 'ben' }))
    assert.equal((await auth.accounts.get(anna, 'anna')).id, 'anna')
    await assert.rejects(auth.accounts.get(anna, 'ben'), { code: 'not_found' })
    await assert.rejects(auth.accounts.list(anna, PAGE), { code: 'forbidden' })
    await assert.rejects(auth.accounts.update(anna, 'anna', { quotaBytes: 5 }), {
      code: 'forbidden',
    })
    const admin = await auth.identify(ADMIN)
    const changed = await auth.accounts.update(admin, 'anna', { name: 'Anna A.', quotaBytes: 5 })
    assert.deepEqual([changed.name, changed.quotaBytes], ['Anna A.', 5])
    const again = await auth.identify(await sign({ sub: 'anna', name: 'Other' }))
    assert.equal(again.name, 'Anna A.')
    await assert.rejects(auth.accounts.update(admin, 'anna', { quotaBytes: -1 }), {
      code: 'invalid',
    })
    await assert.rejects(auth.accounts.update(admin, 'none', {}), { code: 'not_found' })
  })

  test('the trail shows each account its own', async (t) => {
    const { auth } = await setUp(t)
    const anna = await auth.identify(await sign({ sub: 'anna', permissions: ['*'] }))
    const ben = await auth.identify(await sign({ sub: 'ben', permissions: ['*'] }))
    await auth.audit.record(anna, { action: 'thing.do', topic: 'thing', topicId: '1' })
    assert.equal((await auth.audit.list(anna, { ...PAGE, action: 'thing.do' })).items.length, 1)
    const asked = { ...PAGE, action: 'thing.do', accountId: 'anna' }
    assert.equal((await auth.audit.list(ben, asked)).items.length, 0)
    assert.equal((await auth.audit.list(await auth.adminCaller(), asked)).items.length, 1)
  })

  test('an account is made and forgotten by admins, and not while it has anything', async (t) => {
    const { auth } = await setUp(t)
    const admin = await auth.identify(ADMIN)
    const made = await auth.accounts.create(admin, { id: 'lab', name: 'The lab', quotaBytes: 5 })
    assert.deepEqual([made.name, made.quotaBytes], ['The lab', 5])
    await assert.rejects(auth.accounts.create(admin, { id: 'lab' }), { code: 'conflict' })
    await assert.rejects(auth.accounts.create(admin, { id: 'a b' }), { code: 'invalid' })
    const lab = await auth.identify(await sign({ sub: 'lab', permissions: ['*'] }))
    assert.equal(lab.name, 'The lab')
    await assert.rejects(auth.accounts.create(lab, { id: 'x' }), { code: 'forbidden' })
    await assert.rejects(auth.accounts.remove(lab, 'admin'), { code: 'forbidden' })
    const request = { name: 'x', permissions: [], expiresAtMs: null }
    const { record } = await auth.tokens.create(lab, request)
    await assert.rejects(auth.accounts.remove(admin, 'lab'), /has tokens that are still good/)
    await auth.tokens.revoke(admin, record.id)
    await auth.accounts.remove(admin, 'lab')
    await assert.rejects(auth.accounts.get(admin, 'lab'), { code: 'not_found' })
    await assert.rejects(auth.accounts.remove(admin, 'lab'), { code: 'not_found' })
    await assert.rejects(auth.accounts.remove(admin, 'admin'), { code: 'conflict' })
  })
})
