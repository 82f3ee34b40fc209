import type { JWTPayload } from 'jose'
import { AppError } from '../core/errors.ts'
import { grants } from '../core/permissions.ts'
import { peekClaims, verifyJwt, wordsClaim } from './jwt.ts'
import { WingsDenials } from './wings-denials.ts'

/** What a panel's token says: contract 000, A3. */
export interface WingsToken {
  /** In lower case, as ids of sources are. */
  readonly serverUuid: string
  /** In lower case, too. */
  readonly userUuid: string
  readonly permissions: readonly string[]
  /** `jti`. */
  readonly tokenId: string | null
  readonly issuedAtMs: number
  readonly expiresAtMs: number | null
  /** Empty for a token of an older panel, which has none. */
  readonly scopes: readonly string[]
  /** The one download it may be used for. */
  readonly backupUuid: string | null
  readonly uniqueId: string | null
}

const DENIED = 'jwt: created too far in past (denylist)'

const refused = (message: string): AppError => new AppError('unauthenticated', message)

/** Whether a token is one of a panel, by what it says of itself. Proves nothing. */
export function isWingsToken(token: string): boolean {
  return peekClaims(token)?.['server_uuid'] !== undefined
}

export const wingsMay = (token: WingsToken, permission: string): boolean =>
  grants(token.permissions, permission)

/** The tokens of a panel, and which of them are denied. */
export class WingsTokens {
  readonly denials = new WingsDenials()
  readonly #secret: Uint8Array
  /** Tokens issued before are denied. In whole seconds, as `iat` is. */
  readonly #issuedFromMs: number

  constructor(secret: Uint8Array, startedAtMs: number) {
    this.#secret = secret
    this.#issuedFromMs = Math.floor(startedAtMs / 1000) * 1000
  }

  /** Throws `unauthenticated` with the sentence of the dialect. */
  async identify(token: string | null, nowMs: number): Promise<WingsToken> {
    if (token === null || token === '') throw refused('jwt: no jwt present')
    const claims = await verifyJwt(token, this.#secret, nowMs)
    const parsed = parseWingsClaims(claims)
    this.assertGood(parsed, nowMs)
    return parsed
  }

  /**
   * contract 000, A3: "token refused when `iat` missing; server or user uuid
   * empty; `iat` earlier than daemon boot; jti denied; or (server:user) revoked
   * at or after `iat`". Ask again before each use: denials come at any time.
   */
  assertGood(token: WingsToken, nowMs: number): void {
    if (token.expiresAtMs !== null && nowMs >= token.expiresAtMs) {
      throw refused('jwt: exp claim is invalid')
    }
    if (token.issuedAtMs < this.#issuedFromMs || this.denials.denies(token)) throw refused(DENIED)
  }

  /** What a socket of this server needs besides a good token. */
  assertMayConnect(token: WingsToken, serverUuid: string): void {
    if (!wingsMay(token, 'websocket.connect')) throw refused('jwt: missing connect permission')
    if (token.serverUuid !== serverUuid.toLowerCase()) throw refused('jwt: server uuid mismatch')
  }
}

function parseWingsClaims(claims: JWTPayload): WingsToken {
  const { iat, exp, jti, scope } = claims
  const serverUuid = textClaim(claims, 'server_uuid')
  const userUuid = textClaim(claims, 'user_uuid')
  if (iat === undefined || serverUuid === null || userUuid === null) throw refused(DENIED)
  return {
    serverUuid: serverUuid.toLowerCase(),
    userUuid: userUuid.toLowerCase(),
    permissions: wordsClaim(claims, 'permissions'),
    tokenId: jti ?? null,
    issuedAtMs: iat * 1000,
    expiresAtMs: exp === undefined ? null : exp * 1000,
    scopes: typeof scope === 'string' ? scope.split(' ').filter((word) => word !== '') : [],
    backupUuid: textClaim(claims, 'backup_uuid'),
    uniqueId: textClaim(claims, 'unique_id'),
  }
}

function textClaim(claims: JWTPayload, name: string): string | null {
  const value = claims[name]
  return typeof value === 'string' && value !== '' ? value : null
}
