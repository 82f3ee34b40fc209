import { decodeJwt, errors, type JWTPayload, jwtVerify } from 'jose'
import { AppError } from '../core/errors.ts'

/**
 * The claims of a JWT that was signed with this secret by HS256 and is within
 * its time. Every other algorithm is refused, `none` above all: whoever could
 * choose it could sign for anybody. The messages are those of the wings
 * dialect (contract 000, A3); they say nothing of the secret.
 */
export async function verifyJwt(
  token: string,
  secret: Uint8Array,
  nowMs: number,
): Promise<JWTPayload> {
  try {
    const options = { algorithms: ['HS256'], currentDate: new Date(nowMs) }
    return (await jwtVerify(token, secret, options)).payload
  } catch (error) {
    throw new AppError('unauthenticated', messageOf(error), {}, error)
  }
}

function messageOf(error: unknown): string {
  if (error instanceof errors.JWTExpired) return 'jwt: exp claim is invalid'
  if (error instanceof errors.JWTClaimValidationFailed) {
    return `jwt: ${error.claim} claim is invalid`
  }
  if (error instanceof errors.JOSEAlgNotAllowed) return 'jwt: alg header must be HS256'
  if (error instanceof errors.JWSSignatureVerificationFailed) {
    return 'jwt: HMAC verification failed'
  }
  return 'jwt: malformed token'
}

/** Three parts of base64url: what else comes as a token is none of ours. */
export const looksLikeJwt = (token: string): boolean => /^[\w-]+\.[\w-]+\.[\w-]*$/.test(token)

/** What a JWT says of itself, not verified: only to choose how to verify it. */
export function peekClaims(token: string): JWTPayload | null {
  try {
    return decodeJwt(token)
  } catch {
    return null // no JWT at all
  }
}

/** A claim that is a list of words; absent is none. Throws where it is anything else. */
export function wordsClaim(claims: JWTPayload, name: string): readonly string[] {
  const value = claims[name] ?? []
  if (Array.isArray(value) && value.every((word) => typeof word === 'string')) return value
  throw new AppError('unauthenticated', `jwt: ${name} claim is invalid`)
}
