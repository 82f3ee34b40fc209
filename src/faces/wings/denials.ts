import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { assertMay } from '../../auth/permissions.ts'
import type { Caller } from '../../core/account.ts'
import { AppError } from '../../core/errors.ts'
import type { Source } from '../../core/source.ts'
import type { Services } from '../face.ts'
import type { WingsFeed } from './feed.ts'
import type { RouteOptions } from './lookups.ts'

const denyBody = z.object({ jtis: z.array(z.string().min(1).max(200)).max(1000) })
const userBody = z.object({
  user: z.string().min(1).max(200),
  servers: z.array(z.string().min(1).max(200)).max(1000).default([]),
})

const DENIED = 'jwt: created too far in past (denylist)'
/** Of a long list the audit trail keeps the beginning, and how long it was. */
const AUDITED_MAX = 50

/** contract 000, A3, "Denylist": what a panel says when a person loses access. */
export function denialRoutes(
  app: FastifyInstance,
  { services, serverOf, identify }: RouteOptions,
  feed: WingsFeed,
): void {
  const { audit, wings } = services.auth
  const { clock } = services

  app.post('/api/servers/:server/ws/deny', async (request, reply) => {
    const { caller, server } = await serverOf(request, 'backup.delete')
    const parsed = denyBody.safeParse(request.body)
    if (!parsed.success) throw new AppError('invalid', 'jtis must be a list of token ids')
    const denied = new Set(parsed.data.jtis)
    for (const tokenId of denied) wings.denials.denyToken(server.id, tokenId, clock.nowMs())
    feed.deny(({ panel }) => {
      const isOfServer = panel?.serverUuid === server.id
      return isOfServer && panel.tokenId !== null && denied.has(panel.tokenId)
    }, DENIED)
    await audit.record(caller, {
      action: 'wings.deny',
      topic: 'source',
      topicId: server.id,
      accountId: server.accountId,
      data: { count: denied.size, tokenIds: [...denied].slice(0, AUDITED_MAX) },
    })
    return await reply.code(204).send()
  })

  app.post('/api/deauthorize-user', async (request, reply) => {
    const caller = await identify(request, 'backup.delete')
    const parsed = userBody.safeParse(request.body)
    if (!parsed.success) throw new AppError('invalid', 'user must be the id of a user')
    const user = parsed.data.user.toLowerCase()
    if (parsed.data.servers.length === 0) {
      // Without a list it is about every server: only who has them all may say so.
      assertMay(caller, 'admin.accounts')
      wings.denials.denyUserEverywhere(user, clock.nowMs())
      feed.deny(({ panel }) => panel?.userUuid === user, DENIED)
      const act = { action: 'wings.deauthorize', topic: 'panel-user', topicId: user }
      await audit.record(caller, act)
      return await reply.code(204).send()
    }
    const servers = await findServers(services, caller, parsed.data.servers)
    for (const id of servers.keys()) wings.denials.denyUser(id, user, clock.nowMs())
    feed.deny(({ panel }) => panel?.userUuid === user && servers.has(panel.serverUuid), DENIED)
    for (const { id, accountId } of servers.values()) {
      const data = { user }
      const act = { action: 'wings.deauthorize', topic: 'source', topicId: id, accountId, data }
      await audit.record(caller, act)
    }
    return await reply.code(204).send()
  })
}

/** One that is not there, or somebody else's, must not keep the others from being closed to the user. */
async function findServers(
  { sources }: Services,
  caller: Caller,
  ids: readonly string[],
): Promise<ReadonlyMap<string, Source>> {
  const found = new Map<string, Source>()
  for (const id of new Set(ids.map((text) => text.toLowerCase()))) {
    try {
      found.set(id, await sources.get(caller, id))
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'not_found') throw error
    }
  }
  return found
}
