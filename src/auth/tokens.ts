import type { Caller } from '../core/account.ts'
import { AppError } from '../core/errors.ts'
import { isAccountId, parseName } from '../core/names.ts'
import { isAdmin, listedAccount, may, PERMISSIONS, sees } from '../core/permissions.ts'
import type { Clock } from '../platform/clock.ts'
import type { Ids } from '../platform/ids.ts'
import { randomToken, sha256Hex } from '../platform/secrets.ts'
import type { Database, WriteTransaction } from '../store/database.ts'
import type { Page, PageRequest } from '../store/rows.ts'
import {
  deleteExpiredTokens,
  findToken,
  findTokenBySha256,
  insertToken,
  listTokens,
  revokeToken,
  type TokenRecord,
} from '../store/tokens.ts'
import type { Accounts } from './accounts.ts'
import type { Audit } from './audit.ts'
import { assertMay } from './permissions.ts'

export interface TokensOptions {
  readonly database: Database
  readonly clock: Pick<Clock, 'nowMs'>
  readonly ids: Ids
  readonly accounts: Accounts
  readonly audit: Audit
}

export interface TokenRequest {
  readonly name: string
  /** None that the caller lacks himself. */
  readonly permissions: readonly string[]
  /** `null`: until it is revoked. Never beyond the end of the maker's own token. */
  readonly expiresAtMs: number | null
  /** Of another account; asked by admins only. */
  readonly accountId?: string
}

/** A token with the only copy of its text. */
export interface NewToken {
  readonly token: string
  readonly record: TokenRecord
}

/** The sign-in link of a person who asked for it works this long, and once. */
export const SIGN_IN_LINK_MS = 10 * 60_000
export const SESSION_MS = 30 * 24 * 60 * 60_000

const TOKEN_PREFIX = 'hf_'
/** Another prefix than tokens have: neither works in the place of the other. */
const CODE_PREFIX = 'hfc_'
const CODE_ID_PREFIX = 'sign-in-'

const refused = (message: string): AppError => new AppError('unauthenticated', message)

const tokenNotFound = (tokenId: string): AppError =>
  new AppError('not_found', `no token ${tokenId}`, { tokenId })

/** API tokens, and the one-time codes that become one. Both are kept as SHA-256: 256 bits of chance need no salt. */
export class Tokens {
  readonly #options: TokensOptions

  constructor(options: TokensOptions) {
    this.#options = options
  }

  static isToken(text: string): boolean {
    return text.startsWith(TOKEN_PREFIX)
  }

  async create(caller: Caller, request: TokenRequest): Promise<NewToken> {
    const { clock, accounts } = this.#options
    assertMay(caller, 'tokens.write')
    const { permissions } = request
    const expiresAtMs = earlier(request.expiresAtMs, caller.expiresAtMs)
    const accountId = request.accountId ?? caller.accountId
    if (accountId !== caller.accountId) {
      if (!isAdmin(caller)) throw new AppError('forbidden', 'only an admin makes tokens for others')
      if (!isAccountId(accountId)) throw new AppError('invalid', `no account id: ${accountId}`)
    }
    assertMayGive(caller, permissions)
    if (expiresAtMs !== null && !(expiresAtMs > clock.nowMs())) {
      throw new AppError('invalid', 'the token would have expired already')
    }
    await accounts.ensure(accountId, accountId === caller.accountId ? caller.name : accountId)
    const made = this.#draw({ accountId, permissions, expiresAtMs, name: parseName(request.name) })
    await this.#options.database.write(async (tx) => {
      await insertToken(tx, made.record)
      await this.#record(tx, caller, 'token.create', made.record)
    })
    return made
  }

  /** Newest first, those that have expired or were revoked among them. */
  async list(
    caller: Caller,
    query: PageRequest & { readonly accountId?: string | null },
  ): Promise<Page<TokenRecord>> {
    const accountId = listedAccount(caller, query.accountId)
    const page = await listTokens(this.#options.database.sql, { ...query, accountId })
    // Codes of sign-in links rest in the same table; they are nothing to look after.
    return { ...page, items: page.items.filter((record) => !isCode(record)) }
  }

  /** One's own, or any for admins. A code of a sign-in link is none. */
  async get(caller: Caller, id: string): Promise<TokenRecord> {
    const record = await findToken(this.#options.database.sql, id)
    const isThere = record !== null && !isCode(record) && sees(caller, record.accountId)
    if (!isThere) throw tokenNotFound(id)
    return record
  }

  /** A token that can do more than the caller is not his to end; admins end all. */
  async revoke(caller: Caller, id: string): Promise<void> {
    const { database, clock } = this.#options
    assertMay(caller, 'tokens.write')
    await database.write(async (tx) => {
      const record = await findToken(tx.sql, id)
      if (record === null || !sees(caller, record.accountId)) throw tokenNotFound(id)
      assertMayRevoke(caller, record)
      if (await revokeToken(tx, id, clock.nowMs())) {
        await this.#record(tx, caller, 'token.revoke', record)
      }
    })
  }

  /** Who a token of ours belongs to. Throws `unauthenticated` saying why not. */
  async identify(token: string): Promise<Caller> {
    const { database, accounts } = this.#options
    const record = await findTokenBySha256(database.sql, sha256Hex(token))
    if (record === null) throw refused('this token is not known here; make a new one')
    this.#assertGood(record)
    const { name } = await accounts.ensure(record.accountId, record.accountId)
    const { accountId, permissions, id, expiresAtMs } = record
    return { accountId, name, permissions, tokenId: id, expiresAtMs }
  }

  /**
   * A code that signs a person in once, with what the caller may do himself. It
   * is kept in the records, so that a restart of the server does not spoil the
   * link that was just printed.
   */
  async createSignInCode(
    caller: Caller,
  ): Promise<{ readonly code: string; readonly expiresAtMs: number }> {
    assertMay(caller, 'tokens.write')
    const { database, clock, ids, accounts } = this.#options
    await accounts.ensure(caller.accountId, caller.name)
    const nowMs = clock.nowMs()
    const code = drawCode(caller)
    const expiresAtMs = earlier(nowMs + SIGN_IN_LINK_MS, caller.expiresAtMs)
    const record: TokenRecord = {
      id: `${CODE_ID_PREFIX}${ids.newId()}`,
      accountId: caller.accountId,
      name: 'sign-in link',
      tokenSha256: sha256Hex(code),
      permissions: caller.permissions,
      createdAtMs: nowMs,
      expiresAtMs,
      revokedAtMs: null,
    }
    await database.write(async (tx) => {
      // Nobody looks after codes, so the next one takes away those that are over.
      await deleteExpiredTokens(tx, CODE_ID_PREFIX, nowMs - SIGN_IN_LINK_MS)
      await insertToken(tx, record)
    })
    return { code, expiresAtMs }
  }

  /** Trades the code of a link for a session. It works once, also when two ask in the same instant. */
  async exchangeSignInCode(code: string): Promise<NewToken> {
    const { database, clock } = this.#options
    const spent = refused('this sign-in link was used or has expired; ask for a new one')
    if (!code.startsWith(CODE_PREFIX)) throw spent
    return database.write(async (tx) => {
      const nowMs = clock.nowMs()
      const record = await findTokenBySha256(tx.sql, sha256Hex(code))
      const good = record !== null && record.expiresAtMs !== null && nowMs < record.expiresAtMs
      if (!good || !(await revokeToken(tx, record.id, nowMs))) throw spent
      const { accountId, permissions } = record
      const expiresAtMs = earlier(nowMs + SESSION_MS, endOfMaker(code))
      const made = this.#draw({ accountId, permissions, expiresAtMs, name: 'dashboard session' })
      await insertToken(tx, made.record)
      const tokenId = record.id
      const caller = { accountId, permissions, name: accountId, tokenId, expiresAtMs }
      await this.#record(tx, caller, 'session.create', made.record)
      return made
    })
  }

  #draw(parts: Pick<TokenRecord, 'accountId' | 'permissions' | 'expiresAtMs' | 'name'>): NewToken {
    const token = `${TOKEN_PREFIX}${randomToken()}`
    const record: TokenRecord = {
      ...parts,
      id: this.#options.ids.newId(),
      tokenSha256: sha256Hex(token),
      createdAtMs: this.#options.clock.nowMs(),
      revokedAtMs: null,
    }
    return { token, record }
  }

  #assertGood(record: TokenRecord): void {
    if (record.revokedAtMs !== null) throw refused('this token was revoked; make a new one')
    if (record.expiresAtMs !== null && this.#options.clock.nowMs() >= record.expiresAtMs) {
      throw refused('this token has expired; make a new one')
    }
  }

  #record(tx: WriteTransaction, caller: Caller, action: string, record: TokenRecord) {
    const { id, accountId, name, permissions } = record
    const data = { name, permissions }
    const act = { action, topic: 'token', topicId: id, accountId, data }
    return this.#options.audit.recordIn(tx, caller, act)
  }
}

const isCode = ({ id }: Pick<TokenRecord, 'id'>): boolean => id.startsWith(CODE_ID_PREFIX)

/** Of two ends the first; `null` is none. */
function earlier(oneMs: number, otherMs: number | null): number
function earlier(oneMs: number | null, otherMs: number | null): number | null
function earlier(oneMs: number | null, otherMs: number | null): number | null {
  if (oneMs === null || otherMs === null) return oneMs ?? otherMs
  return Math.min(oneMs, otherMs)
}

/**
 * The end of the maker's token is a part of the code. It is kept as the SHA-256 of its
 * whole text, so that a code whose end somebody has changed is not known any more.
 */
const drawCode = ({ expiresAtMs }: Caller): string =>
  `${CODE_PREFIX}${randomToken()}${expiresAtMs === null ? '' : `.${expiresAtMs}`}`

function endOfMaker(code: string): number | null {
  const [, end] = code.split('.')
  return end === undefined ? null : Number(end)
}

function assertMayRevoke(caller: Caller, { id, permissions }: TokenRecord): void {
  const lacked = permissions.filter((permission) => !may(caller, permission))
  if (lacked.length === 0) return
  throw new AppError(
    'forbidden',
    `the token ${id} can do more than yours, which lacks ${lacked.join(', ')}`,
    { tokenId: id },
  )
}

/** Nobody gives what he has not; and a name that means nothing is a slip to tell about. */
function assertMayGive(caller: Caller, permissions: readonly string[]): void {
  const names = new Set<string>([...PERMISSIONS, '*', 'admin'])
  const unknown = permissions.filter((permission) => !names.has(permission))
  if (unknown.length > 0) {
    throw new AppError(
      'invalid',
      `no such permission: ${unknown.map((name) => JSON.stringify(name.slice(0, 50))).join(', ')}; there are ${[...names].join(', ')}`,
    )
  }
  const lacked = permissions.filter((permission) => !may(caller, permission))
  if (lacked.length > 0) {
    throw new AppError(
      'forbidden',
      `a token cannot give what its maker lacks: ${lacked.join(', ')}`,
    )
  }
}
