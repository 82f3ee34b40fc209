import { z } from 'zod'
import { pageQuery, toPage } from '../paging.ts'
import type { ControlApp, ControlOptions } from './control-app.ts'
import { nameField } from './fields.ts'
import { idParams, newTokenSchema, PROBLEMS, pageOf, tokenSchema } from './schemas.ts'
import { toTokenWire } from './wire.ts'

const tags = ['tokens']

const createBody = z.strictObject({
  name: nameField,
  permissions: z
    .array(z.string().min(1).max(100))
    .max(100)
    .describe('None that the caller lacks. `*` is all but those of administrators.'),
  expiresAt: z.iso
    .datetime({ offset: true })
    .nullish()
    .describe('Never beyond the end of the token that makes it; for ever when left out.'),
  accountId: z.string().min(1).max(128).optional().describe('Of another; administrators only.'),
})

/** What programs sign in with. */
export function tokenRoutes(app: ControlApp, options: ControlOptions): void {
  addCreate(app, options)
  addList(app, options)
  addGet(app, options)
  addRevoke(app, options)
}

function addCreate(app: ControlApp, { gate, services }: ControlOptions): void {
  app.post(
    '/api/v1/tokens',
    {
      onRequest: gate.needs('tokens.write'),
      schema: {
        tags,
        summary: 'Make a token; this answer alone shows it',
        body: createBody,
        response: { 201: newTokenSchema, ...PROBLEMS },
      },
    },
    async (request, reply) => {
      const { expiresAt, accountId, name, permissions } = request.body
      const { record, token } = await services.auth.tokens.create(gate.caller(request), {
        name,
        permissions,
        expiresAtMs: expiresAt == null ? null : Date.parse(expiresAt),
        ...(accountId === undefined ? {} : { accountId }),
      })
      reply.header('cache-control', 'no-store')
      return await reply.code(201).send({ ...toTokenWire(record), token })
    },
  )
}

function addList(app: ControlApp, { gate, services }: ControlOptions): void {
  app.get(
    '/api/v1/tokens',
    {
      onRequest: gate.needs('tokens.read'),
      schema: {
        tags,
        summary: 'Tokens, newest first, revoked ones among them',
        querystring: z.object(pageQuery),
        response: { 200: pageOf(tokenSchema), ...PROBLEMS },
      },
    },
    async (request) =>
      toPage(await services.auth.tokens.list(gate.caller(request), request.query), toTokenWire),
  )
}

function addGet(app: ControlApp, { gate, services }: ControlOptions): void {
  app.get(
    '/api/v1/tokens/:id',
    {
      onRequest: gate.needs('tokens.read'),
      schema: {
        tags,
        summary: 'One token; what it is, never its text',
        params: idParams,
        response: { 200: tokenSchema, ...PROBLEMS },
      },
    },
    async (request) =>
      toTokenWire(await services.auth.tokens.get(gate.caller(request), request.params.id)),
  )
}

function addRevoke(app: ControlApp, { gate, services }: ControlOptions): void {
  app.delete(
    '/api/v1/tokens/:id',
    {
      onRequest: gate.needs('tokens.write'),
      schema: {
        tags,
        summary: 'Revoke a token; one that can do more than yours only administrators revoke',
        params: idParams,
        response: { 204: z.null(), ...PROBLEMS },
      },
    },
    async (request, reply) => {
      await services.auth.tokens.revoke(gate.caller(request), request.params.id)
      return await reply.code(204).send(null)
    },
  )
}
