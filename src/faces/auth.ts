import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { assertMay } from '../auth/permissions.ts'
import { RateLimit } from '../auth/rate-limit.ts'
import type { Caller } from '../core/account.ts'
import { AppError } from '../core/errors.ts'
import type { Permission } from '../core/permissions.ts'
import { addressKey } from './addresses.ts'
import type { Services } from './face.ts'
import { KnownTokens } from './known-tokens.ts'

/** Run contract: `Authorization: Bearer <t>`, or the token alone. */
export function headerToken(headers: IncomingHttpHeaders): string | null {
  const value = headers.authorization?.trim()
  if (value === undefined || value === '') return null
  const bearer = /^bearer\s+(\S+)$/i.exec(value)
  return bearer?.[1] ?? value
}

/** Run contract: `?token=` or `?tk=`, for WebSockets and downloads only: addresses end up in histories. */
export function queryToken(query: URLSearchParams): string | null {
  return query.get('token') || query.get('tk') || null
}

export const searchOf = (url: string): URLSearchParams =>
  new URLSearchParams(url.split('?').slice(1).join('?'))

export interface GateOptions {
  /** Accept the token in the address, too. */
  readonly inQuery?: boolean
}

type Hook = (request: FastifyRequest, reply: FastifyReply) => Promise<void>

/**
 * Where every request of a face passes: who is it, may he, and not too often.
 * A route says what it needs; a route that says nothing has no caller.
 */
export class Gate {
  readonly #services: Services
  readonly #callers = new WeakMap<FastifyRequest, { caller: Caller; token: string | null }>()
  readonly #perAddress: RateLimit
  readonly #perAccount: RateLimit
  readonly #failures: RateLimit
  readonly #signIns: RateLimit
  readonly #known = new KnownTokens()

  constructor(services: Services) {
    this.#services = services
    this.#perAddress = new RateLimit(PER_ADDRESS)
    this.#perAccount = new RateLimit(PER_ACCOUNT)
    this.#failures = new RateLimit(FAILURES_PER_ADDRESS)
    this.#signIns = new RateLimit(SIGN_INS_PER_ADDRESS)
  }

  /** A hook for a route that somebody with this permission may use; `null`: anybody who is signed in. */
  needs(permission: Permission | null, { inQuery = false }: GateOptions = {}): Hook {
    return async (request) => {
      this.#take(this.#perAddress, addressKey(request.ip))
      const token =
        headerToken(request.headers) ?? (inQuery ? queryToken(searchOf(request.url)) : null)
      const caller = await this.identify(token, request.ip)
      this.#take(this.#perAccount, caller.accountId)
      if (permission !== null) assertMay(caller, permission)
      this.#callers.set(request, { caller, token })
    }
  }

  /** A hook for a route without a caller, such as a sign-in: nobody guesses there often. */
  open(): Hook {
    return async (request) => {
      this.#take(this.#signIns, addressKey(request.ip))
    }
  }

  caller(request: FastifyRequest): Caller {
    const known = this.#callers.get(request)
    if (known === undefined) throw new Error('route without a gate asked who calls')
    return known.caller
  }

  /** For what stays open: its token is looked at again. */
  tokenOf(request: FastifyRequest): string | null {
    return this.#callers.get(request)?.token ?? null
  }

  /** Whether one more from this address may come in. */
  admits(address: string): boolean {
    return this.#perAddress.take(addressKey(address), this.#now()) === null
  }

  /**
   * Whose token this is. Where too many wrong ones came from an address, the next
   * is not looked at: an answer to the right one would tell that it is right. What
   * was good from the same address a while ago passes: others in the office of
   * somebody who guesses go on, and he learns nothing of a token that is not theirs.
   */
  async identify(token: string | null, address: string): Promise<Caller> {
    return await this.guard(token, address, () => this.#services.auth.identify(token))
  }

  /** The same for a face that has tokens of its own: `look` throws `unauthenticated` for a wrong one. */
  async guard<T>(token: string | null, address: string, look: () => Promise<T>): Promise<T> {
    const key = addressKey(address)
    const isKnown = token !== null && this.#known.has(key, token, this.#now())
    if (token !== null && !isKnown) this.#refuse(this.#failures.ask(key, this.#now()))
    try {
      const found = await look()
      if (token !== null) this.#known.add(key, token, this.#now())
      return found
    } catch (error) {
      if (token !== null && error instanceof AppError && error.code === 'unauthenticated') {
        this.#known.delete(key, token)
        this.#failures.take(key, this.#now())
      }
      throw error
    }
  }

  #take(limit: RateLimit, key: string): void {
    this.#refuse(limit.take(key, this.#now()))
  }

  #refuse(retryAfterMs: number | null): void {
    if (retryAfterMs === null) return
    const retryAfterSeconds = Math.max(1, Math.ceil(retryAfterMs / 1000))
    throw new AppError('rate_limited', `too many requests; try again in ${retryAfterSeconds} s`, {
      retryAfterSeconds,
    })
  }

  #now(): number {
    return this.#services.clock.monotonicMs()
  }
}

/** Generous: an upload in hundreds of parts, sixteen at a time, must never meet them. */
const PER_ADDRESS = { burst: 20_000, perSecond: 5_000 }
const PER_ACCOUNT = { burst: 20_000, perSecond: 5_000 }
const FAILURES_PER_ADDRESS = { burst: 30, perSecond: 1 }
const SIGN_INS_PER_ADDRESS = { burst: 20, perSecond: 0.5 }
