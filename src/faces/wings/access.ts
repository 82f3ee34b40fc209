import type { IncomingMessage } from 'node:http'
import type { FastifyRequest } from 'fastify'
import { isWingsToken, type WingsToken, wingsMay } from '../../auth/wings-tokens.ts'
import type { Caller } from '../../core/account.ts'
import { AppError } from '../../core/errors.ts'
import { may } from '../../core/permissions.ts'
import type { Source } from '../../core/source.ts'
import { type Gate, headerToken, queryToken } from '../auth.ts'
import type { Services } from '../face.ts'
import { queryOf } from '../upgrades.ts'

/** What a socket may do, and until when. */
export interface Access {
  readonly may: (permission: string) => boolean
  readonly expiresAtMs: number | null
  /** `null` for a token that no panel made: those are not on its denylist. */
  readonly panel: WingsToken | null
  /** Looks at the token again: it may have been revoked, or its server be gone. Rejects as `identifySocket` does. */
  readonly again: () => Promise<Access>
}

/** Sentences of the dialect (contract 000, A5). */
const NO_HEADER = 'The required authorization heads were not present in the request.'
const NOT_AUTHORIZED = 'You are not authorized to access this endpoint.'
const NO_SERVER = 'The requested resource does not exist on this instance.'

/**
 * Who is on a socket: a panel's token for this server, or any token of ours
 * whose account has the server. Throws with a sentence of the dialect.
 */
export async function identifySocket(
  services: Services,
  token: string,
  serverId: string,
): Promise<Access> {
  if (token === '' || isWingsToken(token)) return await panelAccess(services, token, serverId)
  const caller = await services.auth.identify(token)
  if (!may(caller, 'websocket.connect')) {
    throw new AppError('unauthenticated', 'jwt: missing connect permission')
  }
  try {
    await services.sources.get(caller, serverId)
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'not_found') throw error
    throw new AppError('unauthenticated', 'jwt: server uuid mismatch', {}, error)
  }
  return {
    may: (permission) => may(caller, permission),
    expiresAtMs: caller.expiresAtMs,
    panel: null,
    again: () => identifySocket(services, token, serverId),
  }
}

async function panelAccess(services: Services, token: string, serverId: string): Promise<Access> {
  const { auth } = services
  const panel = await auth.identifyWings(token)
  auth.wings.assertMayConnect(panel, serverId)
  if (panel.scopes.length > 0 && !panel.scopes.includes('websocket')) {
    throw new AppError('unauthenticated', 'jwt: missing websocket scope')
  }
  return {
    may: (permission) => wingsMay(panel, permission),
    expiresAtMs: panel.expiresAtMs,
    panel,
    again: () => panelAccess(services, token, serverId),
  }
}

/** Run contract: the header, or `?token=` and `?tk=` of the address. */
export const tokenOf = (request: IncomingMessage): string | null =>
  headerToken(request.headers) ?? queryToken(queryOf(request))

/** contract 000, A5: 401 without the header, 403 for one that is not good for this. */
export async function identifyRequest(
  gate: Gate,
  request: FastifyRequest,
  permission: string,
): Promise<Caller> {
  const token = headerToken(request.headers)
  if (token === null) throw new AppError('unauthenticated', NO_HEADER)
  let caller: Caller
  try {
    caller = await gate.identify(token, request.ip)
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'unauthenticated') throw error
    throw new AppError('forbidden', NOT_AUTHORIZED, {}, error)
  }
  if (!may(caller, permission)) throw new AppError('forbidden', NOT_AUTHORIZED)
  return caller
}

/** The server of a route; somebody else's is not there. */
export async function findServer(
  { sources }: Services,
  caller: Caller,
  serverId: string,
): Promise<Source> {
  try {
    return await sources.get(caller, serverId.toLowerCase())
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'not_found') throw error
    throw new AppError('not_found', NO_SERVER, {}, error)
  }
}

/** Before anybody has said who he is: whether there is such a server at all. */
export async function serverExists(services: Services, serverId: string): Promise<boolean> {
  try {
    await services.sources.get(await services.auth.adminCaller(), serverId)
    return true
  } catch (error) {
    if (error instanceof AppError && error.code === 'not_found') return false
    throw error
  }
}
