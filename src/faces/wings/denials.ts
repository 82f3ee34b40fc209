import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { assertMay } from '../../auth/permissions.ts'
import { AppError } from '../../core/errors.ts'
import type { WingsFeed } from './feed.ts'
import type { RouteOptions } from './lookups.ts'

const denyBody = z.object({ jtis: z.array(z.string().min(1)).max(1000) })
const userBody = z.object({
  user: z.string().min(1),
  servers: z.array(z.string().min(1)).max(1000).default([]),
})

const DENIED = 'jwt: created too far in past (denylist)'

/** contract 000, A3, "Denylist": what a panel says when a person loses access. */
export function denialRoutes(
  app: FastifyInstance,
  { services, serverOf, identify }: RouteOptions,
  feed: WingsFeed,
): void {
  const { wings } = services.auth
  const { clock } = services

  app.post('/api/servers/:server/ws/deny', async (request, reply) => {
    await serverOf(request, 'backup.delete')
    const parsed = denyBody.safeParse(request.body)
    if (!parsed.success) throw new AppError('invalid', 'jtis must be a list of token ids')
    const denied = new Set(parsed.data.jtis)
    for (const tokenId of denied) wings.denyToken(tokenId, clock.nowMs())
    feed.deny(({ panel }) => panel?.tokenId != null && denied.has(panel.tokenId), DENIED)
    return await reply.code(204).send()
  })

  app.post('/api/deauthorize-user', async (request, reply) => {
    const caller = await identify(request, 'backup.delete')
    const parsed = userBody.safeParse(request.body)
    if (!parsed.success) throw new AppError('invalid', 'user must be the id of a user')
    const { user, servers } = parsed.data
    // Without a list it is about every server: only who has them all may say so.
    if (servers.length === 0) assertMay(caller, 'admin.accounts')
    const own = new Set<string>()
    for (const server of servers) own.add((await services.sources.get(caller, server)).id)
    feed.deny(({ panel }) => {
      return panel?.userUuid === user && (own.size === 0 || own.has(panel.serverUuid))
    }, DENIED)
    if (own.size === 0) wings.denyUserEverywhere(user, clock.nowMs())
    for (const server of own) wings.denyUser(server, user, clock.nowMs())
    return await reply.code(204).send()
  })
}
