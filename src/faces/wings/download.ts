import type { FastifyInstance, FastifyReply } from 'fastify'
import type { DownloadLink } from '../../auth/download-links.ts'
import type { Snapshots } from '../../catalog/snapshots.ts'
import { AppError } from '../../core/errors.ts'
import { queryToken, searchOf } from '../auth.ts'
import { findServer } from './access.ts'
import { type RouteOptions, snapshotOf } from './lookups.ts'

type SnapshotContent = Awaited<ReturnType<Snapshots['whole']>>

const NOT_THERE = 'The requested resource does not exist on this instance.'

const notThere = (cause?: unknown): AppError => new AppError('not_found', NOT_THERE, {}, cause)

/**
 * `GET /download/backup?token=`: the archive, once for each link (contract 000,
 * A5). `HEAD` tells what a `GET` would give, and spends nothing.
 */
export function downloadRoute(app: FastifyInstance, { services, gate }: RouteOptions): void {
  const { auth, snapshots } = services
  const { downloadLinks } = auth

  /** A link that opens nothing is a wrong token: its address gets few of them. */
  const identify = async (token: string | null, address: string) => {
    try {
      return await gate.guard(token, address, async () => {
        try {
          return await downloadLinks.identify(token)
        } catch (error) {
          throw new AppError('unauthenticated', NOT_THERE, {}, error)
        }
      })
    } catch (error) {
      if (error instanceof AppError && error.code === 'unauthenticated') throw notThere(error)
      throw error
    }
  }

  /** For as long as the reader stays: what nobody reads is not read on. */
  const openOnce = async (link: DownloadLink, content: SnapshotContent, reply: FastifyReply) => {
    if (!downloadLinks.useOnce(link)) throw notThere()
    const gone = new AbortController()
    reply.raw.once('close', () => gone.abort())
    return await content.open({ start: 0, end: content.bytes }, gone.signal)
  }

  app.route({
    method: ['GET', 'HEAD'],
    url: '/download/backup',
    handler: async (request, reply) => {
      const link = await identify(queryToken(searchOf(request.url)), request.ip)
      if (auth.wings.denials.denies(link) || downloadLinks.isUsed(link)) throw notThere()
      const caller = await auth.adminCaller()
      const server = await findServer(services, caller, link.serverUuid)
      const snapshot = await snapshotOf(services, caller, server, link.backupUuid)
      const content = await snapshots.whole(caller, snapshot.id)
      const body = request.method === 'HEAD' ? undefined : await openOnce(link, content, reply)
      const extension = /\.tar(\.\w+)?$/.exec(snapshot.key)?.[0] ?? ''
      return await reply
        .header('content-length', content.bytes)
        .header('content-disposition', `attachment; filename="${link.backupUuid}${extension}"`)
        .type('application/octet-stream')
        .send(body)
    },
  })
}
