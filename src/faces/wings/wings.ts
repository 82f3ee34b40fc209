import { randomUUID } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { answerErrors } from '../errors.ts'
import type { Face } from '../face.ts'
import { findServer, identifyRequest } from './access.ts'
import { backupRoutes } from './backups.ts'
import { denialRoutes } from './denials.ts'
import { downloadRoute } from './download.ts'
import { WingsFeed } from './feed.ts'
import type { RouteOptions } from './lookups.ts'
import { runningRoutes } from './running.ts'
import { socketRoute } from './sockets.ts'

/** Tokens are looked at this often: `token expiring` and `token expired` are this late at most. */
const TOKEN_WATCH_MS = 500

/**
 * The dialect of seed 000: the socket, the backup routes and the download of
 * the wings daemon. A server of it is a source of ours.
 */
export const wingsFace: Face = async (app, faceOptions) => {
  const { services, upgrades, gate, behindProxy, closing, allowedOrigins } = faceOptions
  const feed = new WingsFeed(services.hub)
  await feed.start()
  const watch = setInterval(() => feed.watchTokens(), TOKEN_WATCH_MS)
  watch.unref()
  closing.addEventListener('abort', () => {
    clearInterval(watch)
    feed.close()
  })
  const newId = randomUUID
  socketRoute({ upgrades }, { services, gate, behindProxy, feed, allowedOrigins, newId })
  const identify = (request: FastifyRequest, permission: string) =>
    identifyRequest(gate, request, permission)
  const options: RouteOptions = {
    services,
    gate,
    identify,
    serverOf: async (request, permission) => {
      const caller = await identify(request, permission)
      const { server } = request.params as { readonly server: string }
      return { caller, server: await findServer(services, caller, server) }
    },
  }
  await app.register(async (scope: FastifyInstance) => {
    answerErrors(scope, {
      log: services.log,
      contentType: 'application/json; charset=utf-8',
      // contract 000, A5: `{"error"}`, and with a request id where the fault is ours.
      toBody: ({ error, status, requestId }) =>
        status >= 500
          ? {
              error: 'An unexpected error was encountered while processing this request',
              request_id: requestId,
            }
          : { error: error.message },
    })
    backupRoutes(scope, options)
    runningRoutes(scope, options)
    denialRoutes(scope, options, feed)
    downloadRoute(scope, options)
  })
}
