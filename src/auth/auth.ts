import type { JWTPayload } from 'jose'
import type { Caller } from '../core/account.ts'
import { AppError } from '../core/errors.ts'
import { isAccountId, NAME_LENGTH_MAX, UNPRINTABLE } from '../core/names.ts'
import type { Clock } from '../platform/clock.ts'
import { createIds, type Ids } from '../platform/ids.ts'
import type { Log } from '../platform/log.ts'
import { equalSecrets } from '../platform/secrets.ts'
import type { Database } from '../store/database.ts'
import { Accounts } from './accounts.ts'
import { Audit } from './audit.ts'
import { DownloadLinks } from './download-links.ts'
import { looksLikeJwt, verifyJwt, wordsClaim } from './jwt.ts'
import { type NewToken, Tokens } from './tokens.ts'
import { type WingsToken, WingsTokens } from './wings-tokens.ts'

export interface AuthOptions {
  readonly database: Database
  readonly jwtSecret: string
  readonly adminToken: string
  readonly clock: Pick<Clock, 'nowMs'>
  readonly log: Log
  readonly ids?: Ids
}

export const ADMIN_ACCOUNT_ID = 'admin'

/** Longer ones are no tokens, and not worth hashing. */
const TOKEN_LENGTH_MAX = 16 * 1024

/** Says who asks. What they may do is in permissions.ts; every face asks here and nowhere else. */
export class Auth {
  readonly accounts: Accounts
  readonly audit: Audit
  readonly tokens: Tokens
  readonly wings: WingsTokens
  readonly downloadLinks: DownloadLinks
  readonly #jwtSecret: Uint8Array
  readonly #adminToken: string
  readonly #clock: Pick<Clock, 'nowMs'>
  readonly #log: Log

  constructor(options: AuthOptions) {
    const { database, clock, log, ids = createIds(clock) } = options
    if (options.jwtSecret === '' || options.adminToken === '') {
      throw new AppError('invalid', 'the JWT secret and the admin token must not be empty')
    }
    this.#jwtSecret = new TextEncoder().encode(options.jwtSecret)
    this.#adminToken = options.adminToken
    this.#clock = clock
    this.#log = log
    this.audit = new Audit({ database, clock, ids })
    this.accounts = new Accounts({ database, clock, audit: this.audit })
    const { accounts, audit } = this
    this.tokens = new Tokens({ database, clock, ids, accounts, audit })
    this.wings = new WingsTokens(this.#jwtSecret, clock.nowMs())
    this.downloadLinks = new DownloadLinks(this.#jwtSecret, clock)
  }

  /** Who has this token: the admin token, one of ours (`hf_...`) or a JWT. Throws `unauthenticated`. */
  async identify(token: string | null): Promise<Caller> {
    if (token === null || token === '') {
      throw new AppError('unauthenticated', 'sign in first: no token came with the request')
    }
    if (token.length > TOKEN_LENGTH_MAX) {
      throw new AppError('unauthenticated', 'this token is too long to be one')
    }
    if (equalSecrets(token, this.#adminToken)) return this.adminCaller()
    if (Tokens.isToken(token)) return this.tokens.identify(token)
    if (looksLikeJwt(token)) return this.#identifyJwt(token)
    throw new AppError('unauthenticated', 'this token is not known here')
  }

  /** Whoever holds the admin token, and the process itself. */
  async adminCaller(): Promise<Caller> {
    const { name } = await this.accounts.ensure(ADMIN_ACCOUNT_ID, 'Admin')
    return {
      accountId: ADMIN_ACCOUNT_ID,
      name,
      permissions: ['admin'],
      tokenId: null,
      expiresAtMs: null,
    }
  }

  /** The token of a panel; throws `unauthenticated` with the sentences of its dialect. */
  identifyWings(token: string | null): Promise<WingsToken> {
    if (token !== null && token.length > TOKEN_LENGTH_MAX) {
      throw new AppError('unauthenticated', 'jwt: malformed token')
    }
    return this.wings.identify(token, this.#clock.nowMs())
  }

  /** A link that signs a person in once. The face makes the address of it. */
  createSignInLink(caller: Caller): Promise<{ code: string; expiresAtMs: number }> {
    return this.tokens.createSignInCode(caller)
  }

  /** Trades the code of a sign-in link for a session token. */
  exchangeSignIn(code: string): Promise<NewToken> {
    return this.tokens.exchangeSignInCode(code)
  }

  /** Run contract: "A valid token of an unknown `sub` creates that account with the default quota." */
  async #identifyJwt(token: string): Promise<Caller> {
    const claims = await verifyJwt(token, this.#jwtSecret, this.#clock.nowMs())
    // The permissions of such a token are those of one server, and not of an account.
    if (claims['server_uuid'] !== undefined) {
      throw new AppError(
        'unauthenticated',
        'jwt: this is the token of a panel, for one server only',
      )
    }
    // The type says text: what is signed can still be anything.
    const { sub, jti, exp } = claims as Readonly<Record<string, unknown>>
    if (typeof sub !== 'string' || !isAccountId(sub)) {
      throw new AppError(
        'unauthenticated',
        'jwt: sub must be 1 to 128 characters of A-Z a-z 0-9 _ . @ : -',
      )
    }
    const permissions = wordsClaim(claims, 'permissions')
    const { name } = await this.accounts.ensure(sub, nameClaim(claims) ?? sub)
    this.#log.debug('signed in by JWT', { accountId: sub })
    return {
      accountId: sub,
      name,
      permissions,
      tokenId: typeof jti === 'string' ? jti : null,
      expiresAtMs: typeof exp === 'number' ? Math.floor(exp * 1000) : null,
    }
  }
}

function nameClaim({ name }: JWTPayload): string | null {
  if (typeof name !== 'string') return null
  const printable = name.replace(UNPRINTABLE, ' ').trim().slice(0, NAME_LENGTH_MAX)
  return printable === '' ? null : printable
}
