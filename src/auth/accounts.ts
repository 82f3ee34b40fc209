import type { Account, Caller } from '../core/account.ts'
import { AppError } from '../core/errors.ts'
import { isAccountId, parseName } from '../core/names.ts'
import { may } from '../core/permissions.ts'
import type { Clock } from '../platform/clock.ts'
import {
  deleteAccount,
  ensureAccount,
  findAccount,
  insertAccount,
  listAccounts,
  updateAccount,
} from '../store/accounts.ts'
import type { Database, WriteTransaction } from '../store/database.ts'
import type { Page, PageRequest } from '../store/rows.ts'
import type { Audit } from './audit.ts'
import { assertMay } from './permissions.ts'

export interface AccountsOptions {
  readonly database: Database
  readonly clock: Pick<Clock, 'nowMs'>
  readonly audit: Audit
}

export interface AccountUpdate {
  readonly name?: string
  readonly quotaBytes?: number | null
}

/** Accounts that were seen lately, so that a request costs no reading of its own. */
const KNOWN_MAX = 10_000

/** What can be an account's, in the order in which it is named. */
const OWNED = ['sources', 'snapshots', 'devices', 'pools', 'operations'] as const

async function assertEmpty(tx: WriteTransaction, accountId: string, nowMs: number): Promise<void> {
  const refuse = (what: string) =>
    new AppError('conflict', `the account ${accountId} has ${what}; remove them first`, {
      accountId,
    })
  for (const table of OWNED) {
    const rows = tx.sql.selectFrom(table).select('id').where('account_id', '=', accountId)
    if ((await rows.limit(1).executeTakeFirst()) !== undefined) throw refuse(table)
  }
  const token = await tx.sql
    .selectFrom('tokens')
    .select('id')
    .where('account_id', '=', accountId)
    .where('revoked_at_ms', 'is', null)
    .where((where) =>
      where.or([where('expires_at_ms', 'is', null), where('expires_at_ms', '>', nowMs)]),
    )
    .limit(1)
    .executeTakeFirst()
  if (token !== undefined) throw refuse('tokens that are still good')
}

const accountNotFound = (accountId: string): AppError =>
  new AppError('not_found', `no account ${accountId}`, { accountId })

const OF_NO_TOKEN = { tokenId: null, expiresAtMs: null }

/** Who owns things. An account comes to be with the first valid token that names it. */
export class Accounts {
  readonly #options: AccountsOptions
  readonly #known = new Map<string, Account>()

  constructor(options: AccountsOptions) {
    this.#options = options
  }

  /** The account of this id; made with that name and the default quota where it is new. */
  async ensure(id: string, name: string): Promise<Account> {
    const known = this.#known.get(id)
    if (known !== undefined) return known
    const { database } = this.#options
    const account =
      (await findAccount(database.sql, id)) ?? (await this.#create(id, name.trim() || id))
    if (this.#known.size >= KNOWN_MAX) this.#known.clear()
    this.#known.set(id, account)
    return account
  }

  /** One's own, or any for whoever has `admin.accounts`. */
  async get(caller: Caller, id: string): Promise<Account> {
    const visible = caller.accountId === id || may(caller, 'admin.accounts')
    const account = visible ? await findAccount(this.#options.database.sql, id) : null
    if (account === null) throw accountNotFound(id)
    return account
  }

  /** Newest first. */
  async list(caller: Caller, query: PageRequest): Promise<Page<Account>> {
    assertMay(caller, 'admin.accounts')
    return listAccounts(this.#options.database.sql, query)
  }

  /** For whoever has `admin.accounts`; all others come to be with their first token. */
  async create(caller: Caller, request: { readonly id: string } & AccountUpdate): Promise<Account> {
    assertMay(caller, 'admin.accounts')
    const { id, quotaBytes = null } = request
    if (!isAccountId(id)) {
      throw new AppError(
        'invalid',
        `not an id of an account: ${JSON.stringify(id.slice(0, 140))}; use 1 to 128 of A-Z a-z 0-9 _ . @ : -`,
      )
    }
    const name = parseName(request.name ?? id)
    const { database, clock } = this.#options
    const account: Account = { id, name, quotaBytes, createdAtMs: clock.nowMs() }
    await database.write(async (tx) => {
      await insertAccount(tx, account)
      const about = { topic: 'account', topicId: id, accountId: id, data: { name, quotaBytes } }
      await this.#options.audit.recordIn(tx, caller, { action: 'account.create', ...about })
    })
    return account
  }

  /** Forgets an account that has nothing. A valid JWT that names it makes it anew. */
  async remove(caller: Caller, id: string): Promise<void> {
    assertMay(caller, 'admin.accounts')
    if (id === caller.accountId) {
      throw new AppError('conflict', `${id} is your own account; another administrator removes it`)
    }
    await this.#options.database.write(async (tx) => {
      await assertEmpty(tx, id, this.#options.clock.nowMs())
      if (!(await deleteAccount(tx, id))) throw accountNotFound(id)
      const about = { topic: 'account', topicId: id, accountId: id }
      await this.#options.audit.recordIn(tx, caller, { action: 'account.remove', ...about })
    })
    this.#known.delete(id)
  }

  async update(caller: Caller, id: string, request: AccountUpdate): Promise<Account> {
    assertMay(caller, 'admin.accounts')
    const { quotaBytes } = request
    if (typeof quotaBytes === 'number' && !(Number.isSafeInteger(quotaBytes) && quotaBytes >= 0)) {
      throw new AppError('invalid', `not a quota in bytes: ${quotaBytes}`)
    }
    const account = await this.#options.database.write(async (tx) => {
      const previous = await findAccount(tx.sql, id)
      if (previous === null) throw accountNotFound(id)
      const next: Account = {
        ...previous,
        name: request.name === undefined ? previous.name : parseName(request.name),
        quotaBytes: quotaBytes === undefined ? previous.quotaBytes : quotaBytes,
      }
      await updateAccount(tx, next)
      const data = { name: next.name, quotaBytes: next.quotaBytes }
      const about = { topic: 'account', topicId: id, accountId: id, data }
      await this.#options.audit.recordIn(tx, caller, { action: 'account.change', ...about })
      return next
    })
    this.#known.delete(id)
    return account
  }

  async #create(id: string, name: string): Promise<Account> {
    const { database, clock, audit } = this.#options
    const account: Account = { id, name, quotaBytes: null, createdAtMs: clock.nowMs() }
    return database.write(async (tx) => {
      const known = await findAccount(tx.sql, id)
      if (known !== null) return known
      const self: Caller = { accountId: id, name, permissions: [], ...OF_NO_TOKEN }
      const about = { topic: 'account', topicId: id, data: { name } }
      await audit.recordIn(tx, self, { action: 'account.create', ...about })
      return ensureAccount(tx, account)
    })
  }
}
