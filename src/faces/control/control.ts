import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import {
  jsonSchemaTransform,
  jsonSchemaTransformObject,
  serializerCompiler,
  validatorCompiler,
  type ZodTypeProvider,
} from 'fastify-type-provider-zod'
import type { FaceOptions } from '../face.ts'
import { accountRoutes } from './accounts.ts'
import type { ControlApp } from './control-app.ts'
import { deviceRoutes } from './devices.ts'
import { downloadRoutes } from './download.ts'
import { folderRoutes } from './folders.ts'
import { registerLive } from './live.ts'
import { FEEDS_PER_ACCOUNT_MAX, LivePlaces } from './live-places.ts'
import { liveStreamRoutes } from './live-stream.ts'
import { operationRoutes } from './operations.ts'
import { poolRoutes } from './pools.ts'
import { sessionRoutes } from './sessions.ts'
import { snapshotRoutes } from './snapshots.ts'
import { sourceRoutes } from './sources.ts'
import { tokenRoutes } from './tokens.ts'

const ROUTES = [
  sourceRoutes,
  operationRoutes,
  snapshotRoutes,
  downloadRoutes,
  poolRoutes,
  deviceRoutes,
  accountRoutes,
  tokenRoutes,
  sessionRoutes,
  folderRoutes,
]

/** Our own API: everything the dashboard, the CLI and the SDK use, described by the schemas that check it. */
export async function controlFace(root: FastifyInstance, options: FaceOptions): Promise<void> {
  await root.register(async (plain) => {
    const app = plain.withTypeProvider<ZodTypeProvider>() as ControlApp
    app.setValidatorCompiler(validatorCompiler)
    app.setSerializerCompiler(serializerCompiler)
    await registerDocument(app, options.version)
    for (const routes of ROUTES) routes(app, options)
    const feeds = new LivePlaces(FEEDS_PER_ACCOUNT_MAX)
    liveStreamRoutes(app, options, { feeds })
    registerLive(options, feeds)
  })
}

async function registerDocument(app: ControlApp, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Holdfast',
        version,
        description:
          'Every byte you move is a durable operation that you can watch, pause, resume and prove. ' +
          'Times are RFC 3339 in UTC, errors RFC 9457 problem documents, lists keyset pages. ' +
          'The live feed is a WebSocket at `/api/v1/live`.',
      },
      components: {
        securitySchemes: { token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
      },
      security: [{ token: [] }],
    },
    transform: jsonSchemaTransform,
    transformObject: jsonSchemaTransformObject,
  })
  app.get('/openapi.json', { schema: { hide: true } as object }, async (_request, reply) => {
    reply.type('application/json').serializer(JSON.stringify)
    return await reply.send(app.swagger())
  })
  // Its script and styles come from the package: the page works without the internet.
  await app.register(swaggerUi, { routePrefix: '/docs' })
}
