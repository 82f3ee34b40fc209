import { z } from 'zod'
import { AppError } from '../../core/errors.ts'
import type { ControlApp, ControlOptions } from './control-app.ts'
import { PROBLEMS, whoAmISchema } from './schemas.ts'
import { toTime, toTimeOrNull } from './wire.ts'

const tags = ['sessions']

const sessionSchema = z
  .object({
    token: z.string().describe('Send it as `Authorization: Bearer <token>`.'),
    expiresAt: z.iso.datetime().nullable(),
    ...whoAmISchema.shape,
  })
  .meta({ id: 'Session' })

const linkSchema = z
  .object({
    url: z.string().describe('Opens the dashboard signed in, once.'),
    expiresAt: z.iso.datetime(),
  })
  .meta({ id: 'SignInLink' })

/** Signing in by a link that works once. */
export function sessionRoutes(app: ControlApp, options: ControlOptions): void {
  addStart(app, options)
  addLink(app, options)
  addEnd(app, options)
}

function addStart(app: ControlApp, { gate, services }: ControlOptions): void {
  app.post(
    '/api/v1/sessions',
    {
      onRequest: gate.open(),
      schema: {
        tags,
        summary: 'Trade the code of a sign-in link for a session',
        security: [],
        body: z.strictObject({ code: z.string().min(1).max(200) }),
        response: { 201: sessionSchema, ...PROBLEMS },
      },
    },
    async (request, reply) => {
      const { token, record } = await services.auth.exchangeSignIn(request.body.code)
      const { accountId, name, permissions } = await services.auth.identify(token)
      reply.header('cache-control', 'no-store')
      return await reply.code(201).send({
        token,
        expiresAt: toTimeOrNull(record.expiresAtMs),
        accountId,
        name,
        permissions: [...permissions],
      })
    },
  )
}

function addLink(app: ControlApp, { gate, services }: ControlOptions): void {
  app.post(
    '/api/v1/sessions/link',
    {
      onRequest: gate.needs('tokens.write'),
      schema: {
        tags,
        summary: 'Make a sign-in link for yourself',
        response: { 201: linkSchema, ...PROBLEMS },
      },
    },
    async (request, reply) => {
      const caller = gate.caller(request)
      const { code, expiresAtMs } = await services.auth.createSignInLink(caller)
      const topicId = caller.accountId
      await services.auth.audit.record(caller, {
        action: 'session.link',
        topic: 'account',
        topicId,
      })
      reply.header('cache-control', 'no-store')
      // Behind the `#`, so that the code is in no log on the way.
      const url = `${request.protocol}://${request.host}/sign-in#code=${encodeURIComponent(code)}`
      return await reply.code(201).send({ url, expiresAt: toTime(expiresAtMs) })
    },
  )
}

function addEnd(app: ControlApp, { gate, services }: ControlOptions): void {
  app.delete(
    '/api/v1/sessions/current',
    {
      onRequest: gate.needs('tokens.write'),
      schema: {
        tags,
        summary: 'Sign out: the token of this request works no more',
        response: { 204: z.null(), ...PROBLEMS },
      },
    },
    async (request, reply) => {
      const caller = gate.caller(request)
      if (caller.tokenId === null) {
        throw new AppError('conflict', 'this token is not one that can be revoked')
      }
      await services.auth.tokens.revoke(caller, caller.tokenId)
      return await reply.code(204).send(null)
    },
  )
}
