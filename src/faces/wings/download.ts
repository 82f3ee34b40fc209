import type { FastifyInstance } from 'fastify'
import { AppError } from '../../core/errors.ts'
import { queryToken, searchOf } from '../auth.ts'
import { type RouteOptions, snapshotOf } from './lookups.ts'

const NOT_THERE = 'The requested resource does not exist on this instance.'

/** `GET /download/backup?token=`: the archive, once for each link (contract 000, A5). */
export function downloadRoute(app: FastifyInstance, { services }: RouteOptions): void {
  const { auth, sources, snapshots } = services

  app.get('/download/backup', async (request, reply) => {
    const token = queryToken(searchOf(request.url))
    const link = await auth.downloadLinks.identify(token)
    const caller = await auth.adminCaller()
    const server = await sources.get(caller, link.serverUuid)
    const snapshot = await snapshotOf(services, caller, server, link.backupUuid)
    if (!auth.downloadLinks.useOnce(link)) throw new AppError('not_found', NOT_THERE)
    const content = await snapshots.whole(caller, snapshot.id)
    const stop = new AbortController()
    reply.raw.once('close', () => stop.abort())
    const body = await content.open({ start: 0, end: content.bytes }, stop.signal)
    const extension = /\.tar(\.\w+)?$/.exec(snapshot.key)?.[0] ?? ''
    return await reply
      .header('content-length', content.bytes)
      .header('content-disposition', `attachment; filename="${link.backupUuid}${extension}"`)
      .type('application/octet-stream')
      .send(body)
  })
}
