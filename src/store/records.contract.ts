import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PoolRecord } from '../core/pool.ts'
import type { Snapshot } from '../core/snapshot.ts'
import type { Source } from '../core/source.ts'
import {
  deleteAccount,
  ensureAccount,
  findAccount,
  insertAccount,
  listAccounts,
  updateAccount,
} from './accounts.ts'
import { insertAudit, listAudit } from './audit.ts'
import { type DatabaseUnderTest, withRecords } from './database.test-records.ts'
import { deleteDevice, findDevice, insertDevice, listDevices, updateDevice } from './devices.ts'
import { deletePool, findPool, insertPool, listPools, poolUsage, updatePool } from './pools.ts'
import {
  deleteSnapshot,
  findSnapshot,
  findSnapshotOf,
  insertSnapshot,
  listSnapshots,
  setSnapshotPinned,
  setSnapshotVerified,
} from './snapshots.ts'
import { deleteSource, findSource, insertSource, listSources, updateSource } from './sources.ts'
import { findToken, findTokenBySha256, insertToken, listTokens, revokeToken } from './tokens.ts'

const FIRST_PAGE = { limit: 50, cursor: null }

const source: Source = {
  id: 'world',
  accountId: 'ada',
  kind: 'directory',
  name: 'World "ö" \u{1F5FA}',
  deviceId: null,
  config: { path: '/srv/world', nested: { list: [1, null, true] } },
  createdAtMs: 1_763_693_100_000,
}

const snapshot: Snapshot = {
  id: 's1',
  accountId: 'ada',
  sourceId: 'world',
  operationId: 'o1',
  poolId: 'local',
  format: 'archive',
  key: 'archives/world/o1-1.tar.zst',
  bytes: 5_000_000_000_000,
  contentBytes: 9_000_000_000_000,
  itemCount: 12,
  sha256: 'ab'.repeat(32),
  warningCount: 2,
  details: { compression: 'zstd' },
  pinned: false,
  verifiedAtMs: null,
  verifiedWell: null,
  createdAtMs: 1_763_693_100_000,
}

/** Part of `describeDatabase`: rows and records are the same thing said twice. */
export function describeRecords(subject: DatabaseUnderTest): void {
  describeOwned(subject)
  describeSnapshots(subject)
  describeAccess(subject)
  describePages(subject)
}

function describeOwned(subject: DatabaseUnderTest): void {
  test('a source comes back as it was given, is changed, and is gone', () =>
    withRecords(subject, async (open) => {
      const { sql, write } = await open()
      await write((tx) => insertSource(tx, source))
      assert.deepEqual(await findSource(sql, 'world'), source)
      const again = write((tx) => insertSource(tx, { ...source, name: 'other' }))
      await assert.rejects(again, { code: 'conflict', message: /source world already/ })
      const changed = { ...source, name: 'renamed', deviceId: 'laptop' }
      assert.equal(await write((tx) => updateSource(tx, changed)), true)
      assert.equal(await write((tx) => updateSource(tx, { ...changed, id: 'nobody' })), false)
      const list = async (filter: object) => {
        const page = await listSources(sql, { accountId: null, ...FIRST_PAGE, ...filter })
        return page.items
      }
      assert.deepEqual(await list({ accountId: 'ada', kind: 'directory', deviceId: 'laptop' }), [
        changed,
      ])
      assert.deepEqual(await list({ accountId: 'bob' }), [])
      assert.deepEqual(await list({ kind: 'mysql' }), [])
      assert.deepEqual(await list({ deviceId: 'phone' }), [])
      assert.equal(await write((tx) => deleteSource(tx, 'world')), true)
      assert.equal(await write((tx) => deleteSource(tx, 'world')), false)
      assert.equal(await findSource(sql, 'world'), null)
    }))

  test('a device and an account come back as they were given, are changed, and are gone', () =>
    withRecords(subject, async (open) => {
      const { sql, write } = await open()
      const device = { id: 'laptop', accountId: 'ada', name: 'Laptop', createdAtMs: 7 }
      await write((tx) => insertDevice(tx, device))
      await write((tx) => updateDevice(tx, { ...device, name: 'Desk' }))
      assert.deepEqual(await findDevice(sql, 'laptop'), { ...device, name: 'Desk' })
      assert.equal((await listDevices(sql, { accountId: 'bob', ...FIRST_PAGE })).items.length, 0)
      assert.equal(await write((tx) => deleteDevice(tx, 'laptop')), true)
      const account = { id: 'ada', name: 'Ada', quotaBytes: null, createdAtMs: 7 }
      await write((tx) => insertAccount(tx, account))
      await assert.rejects(
        write((tx) => insertAccount(tx, account)),
        { code: 'conflict' },
      )
      const kept = await write((tx) => ensureAccount(tx, { ...account, name: 'Somebody' }))
      assert.deepEqual(kept, account, 'the account that is there stays as it is')
      await write((tx) => updateAccount(tx, { ...account, quotaBytes: 10 }))
      assert.deepEqual(await findAccount(sql, 'ada'), { ...account, quotaBytes: 10 })
      assert.equal((await listAccounts(sql, FIRST_PAGE)).items.length, 1)
      assert.equal(await write((tx) => deleteAccount(tx, 'ada')), true)
      assert.equal(await findAccount(sql, 'ada'), null)
    }))

  test('a pool of everybody is listed for each account, one of another account is not', () =>
    withRecords(subject, async (open) => {
      const { sql, write } = await open()
      const pool = (id: string, accountId: string | null): PoolRecord => ({
        id,
        accountId,
        name: id,
        kind: 'local',
        config: { folder: '/srv' },
        createdAtMs: 1,
      })
      const pools = [pool('a', 'ada'), pool('b', 'bob'), pool('c', null)]
      for (const record of pools) await write((tx) => insertPool(tx, record))
      assert.deepEqual(await findPool(sql, 'c'), pools[2])
      const ids = async (accountId: string | null) =>
        (await listPools(sql, { accountId, ...FIRST_PAGE })).items.map((record) => record.id)
      assert.deepEqual(await ids('ada'), ['c', 'a'])
      assert.deepEqual(await ids(null), ['c', 'b', 'a'])
      assert.equal(await write((tx) => updatePool(tx, { ...pool('a', 'ada'), name: 'x' })), true)
      assert.equal((await findPool(sql, 'a'))?.name, 'x')
      assert.equal(await write((tx) => deletePool(tx, 'a')), true)
      assert.deepEqual(await ids('ada'), ['c'])
    }))
}

function describeSnapshots(subject: DatabaseUnderTest): void {
  test('a snapshot comes back as it was given, is verified, pinned, counted, and is gone', () =>
    withRecords(subject, async (open) => {
      const { sql, write } = await open()
      await write((tx) => insertSnapshot(tx, snapshot))
      assert.deepEqual(await findSnapshot(sql, 's1'), snapshot)
      assert.deepEqual(await findSnapshotOf(sql, 'o1'), snapshot)
      assert.equal(await findSnapshotOf(sql, 'o2'), null)
      await write((tx) => insertSnapshot(tx, { ...snapshot, id: 's2', sourceId: 'other' }))
      const ids = async (filter: object) => {
        const page = await listSnapshots(sql, { accountId: 'ada', ...FIRST_PAGE, ...filter })
        return page.items.map((record) => record.id)
      }
      assert.deepEqual(await ids({}), ['s2', 's1'])
      assert.deepEqual(await ids({ sourceId: 'world', poolId: 'local' }), ['s1'])
      assert.deepEqual(await ids({ poolId: 'elsewhere' }), [])
      const usage = { usedBytes: 2 * snapshot.bytes, snapshotCount: 2 }
      assert.deepEqual(await poolUsage(sql, 'local'), usage)
      assert.deepEqual(await poolUsage(sql, 'empty'), { usedBytes: 0, snapshotCount: 0 })
      await write((tx) => setSnapshotVerified(tx, 's1', { atMs: 9, well: false }))
      await write((tx) => setSnapshotPinned(tx, 's1', true))
      const seen = { ...snapshot, verifiedAtMs: 9, verifiedWell: false, pinned: true }
      assert.deepEqual(await findSnapshot(sql, 's1'), seen)
      assert.equal(await write((tx) => deleteSnapshot(tx, 's1')), true)
      const gone = await write((tx) => setSnapshotVerified(tx, 's1', { atMs: 9, well: true }))
      assert.equal(gone, false, 'what is gone is not verified')
    }))
}

function describeAccess(subject: DatabaseUnderTest): void {
  test('a token is found by its hash and revoked once', () =>
    withRecords(subject, async (open) => {
      const { sql, write } = await open()
      const token = {
        id: 't1',
        accountId: 'ada',
        name: 'script',
        tokenSha256: 'cd'.repeat(32),
        permissions: ['sources.read', '*'],
        createdAtMs: 5,
        expiresAtMs: null,
        revokedAtMs: null,
      }
      await write((tx) => insertToken(tx, token))
      assert.deepEqual(await findTokenBySha256(sql, token.tokenSha256), token)
      assert.equal(await findTokenBySha256(sql, 'no such hash'), null)
      await assert.rejects(
        write((tx) => insertToken(tx, { ...token, id: 't2' })),
        { code: 'conflict' },
        'no two tokens of one hash',
      )
      assert.equal(await write((tx) => revokeToken(tx, 't1', 8)), true)
      assert.equal(await write((tx) => revokeToken(tx, 't1', 9)), false)
      assert.equal((await findToken(sql, 't1'))?.revokedAtMs, 8)
      assert.equal((await listTokens(sql, { accountId: 'ada', ...FIRST_PAGE })).items.length, 1)
      assert.equal((await listTokens(sql, { accountId: 'bob', ...FIRST_PAGE })).items.length, 0)
    }))

  test('the audit trail is read newest first and filtered', () =>
    withRecords(subject, async (open) => {
      const { sql, write } = await open()
      const entry = (id: string, action: string, atMs: number) => ({
        id,
        accountId: 'ada',
        actor: 'Ada',
        action,
        topic: 'snapshot',
        topicId: 's1',
        data: { why: 'old' },
        atMs,
      })
      const entries = [entry('a', 'snapshot.pin', 1), entry('b', 'snapshot.remove', 2)]
      for (const each of entries) await write((tx) => insertAudit(tx, each))
      const list = async (filter: object) =>
        (await listAudit(sql, { accountId: 'ada', ...FIRST_PAGE, ...filter })).items
      assert.deepEqual(await list({}), entries.toReversed())
      assert.deepEqual(await list({ action: 'snapshot.pin' }), [entries[0]])
      assert.deepEqual(await list({ topicId: 'nothing' }), [])
      assert.deepEqual(await list({ accountId: 'bob' }), [])
    }))
}

function describePages(subject: DatabaseUnderTest): void {
  test('pages go newest first and miss nothing, also when the last record shown is gone', () =>
    withRecords(subject, async (open) => {
      const { sql, write } = await open()
      // Ids that people chose do not rise with time, and times may be equal.
      const times = { b: 3, 'B.x': 3, a: 9, z: 1, 'A-1': 3 }
      for (const [id, createdAtMs] of Object.entries(times)) {
        await write((tx) => insertSource(tx, { ...source, id, createdAtMs }))
      }
      const shown: string[] = []
      let cursor: string | null = null
      do {
        const page = await listSources(sql, { accountId: 'ada', limit: 2, cursor })
        const last = page.items.at(-1)?.id ?? ''
        shown.push(...page.items.map((record) => record.id))
        await write((tx) => deleteSource(tx, last))
        cursor = page.nextCursor
      } while (cursor !== null)
      assert.deepEqual(shown, ['a', 'b', 'B.x', 'A-1', 'z'])
    }))

  test('a cursor that no page gave is refused', () =>
    withRecords(subject, async (open) => {
      const { sql } = await open()
      await assert.rejects(
        listSources(sql, { accountId: null, limit: 2, cursor: "'; drop table sources" }),
        { code: 'invalid' },
      )
    }))
}
