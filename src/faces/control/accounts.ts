import { z } from 'zod'
import { pageQuery, toPage } from '../paging.ts'
import type { ControlApp, ControlOptions } from './control-app.ts'
import { nameField } from './fields.ts'
import { accountSchema, auditSchema, idParams, PROBLEMS, pageOf, whoAmISchema } from './schemas.ts'
import { toAccountWire, toAuditWire } from './wire.ts'

const tags = ['accounts']

/** Who is there, and who did what. */
export function accountRoutes(app: ControlApp, options: ControlOptions): void {
  addWhoAmI(app, options)
  addList(app, options)
  addCreate(app, options)
  addGet(app, options)
  addRemove(app, options)
  addChange(app, options)
  addAudit(app, options)
}

function addWhoAmI(app: ControlApp, { gate }: ControlOptions): void {
  app.get(
    '/api/v1/whoami',
    {
      onRequest: gate.needs(null),
      schema: {
        tags,
        summary: 'Whose token this is, and what it may do',
        response: { 200: whoAmISchema, ...PROBLEMS },
      },
    },
    async (request) => {
      const { accountId, name, permissions } = gate.caller(request)
      return { accountId, name, permissions: [...permissions] }
    },
  )
}

function addList(app: ControlApp, { gate, services }: ControlOptions): void {
  app.get(
    '/api/v1/accounts',
    {
      onRequest: gate.needs('admin.accounts'),
      schema: {
        tags,
        summary: 'Accounts, newest first',
        querystring: z.object(pageQuery),
        response: { 200: pageOf(accountSchema), ...PROBLEMS },
      },
    },
    async (request) =>
      toPage(await services.auth.accounts.list(gate.caller(request), request.query), toAccountWire),
  )
}

function addGet(app: ControlApp, { gate, services }: ControlOptions): void {
  app.get(
    '/api/v1/accounts/:id',
    {
      onRequest: gate.needs(null),
      schema: {
        tags,
        summary: 'An account: the own one, or any for administrators',
        params: idParams,
        response: { 200: accountSchema, ...PROBLEMS },
      },
    },
    async (request) =>
      toAccountWire(await services.auth.accounts.get(gate.caller(request), request.params.id)),
  )
}

const quotaField = z.number().int().min(0).nullish().describe('`null`: as much as there is.')

const createBody = z.strictObject({
  id: z.string().min(1).max(128).describe('1 to 128 of `A-Z a-z 0-9 _ . @ : -`.'),
  name: nameField.optional(),
  quotaBytes: quotaField,
})

function addCreate(app: ControlApp, { gate, services }: ControlOptions): void {
  app.post(
    '/api/v1/accounts',
    {
      onRequest: gate.needs('admin.accounts'),
      schema: {
        tags,
        summary: 'Make an account; the first token that names one makes it, too',
        body: createBody,
        response: { 201: accountSchema, ...PROBLEMS },
      },
    },
    async (request, reply) => {
      const { id, name, quotaBytes = null } = request.body
      const account = await services.auth.accounts.create(gate.caller(request), {
        id,
        quotaBytes,
        ...(name === undefined ? {} : { name }),
      })
      reply.header('location', `/api/v1/accounts/${encodeURIComponent(account.id)}`)
      return await reply.code(201).send(toAccountWire(account))
    },
  )
}

function addRemove(app: ControlApp, { gate, services }: ControlOptions): void {
  app.delete(
    '/api/v1/accounts/:id',
    {
      onRequest: gate.needs('admin.accounts'),
      schema: {
        tags,
        summary: 'Forget an account; refused while it has anything',
        params: idParams,
        response: { 204: z.null(), ...PROBLEMS },
      },
    },
    async (request, reply) => {
      await services.auth.accounts.remove(gate.caller(request), request.params.id)
      return await reply.code(204).send(null)
    },
  )
}

const changeBody = z
  .strictObject({
    name: nameField.optional(),
    quotaBytes: quotaField,
  })
  .refine((body) => Object.keys(body).length > 0, 'expected at least one field to change')

function addChange(app: ControlApp, { gate, services }: ControlOptions): void {
  app.patch(
    '/api/v1/accounts/:id',
    {
      onRequest: gate.needs('admin.accounts'),
      schema: {
        tags,
        summary: 'Rename an account, or change its quota',
        params: idParams,
        body: changeBody,
        response: { 200: accountSchema, ...PROBLEMS },
      },
    },
    async (request) => {
      const { name, quotaBytes } = request.body
      const account = await services.auth.accounts.update(gate.caller(request), request.params.id, {
        ...(name === undefined ? {} : { name }),
        ...(quotaBytes === undefined ? {} : { quotaBytes }),
      })
      return toAccountWire(account)
    },
  )
}

const auditQuery = z.object({
  ...pageQuery,
  account: z.string().max(128).optional(),
  action: z.string().max(100).optional().describe('Such as `operation.submit`.'),
  topicId: z.string().max(128).optional().describe('What it was done to.'),
})

function addAudit(app: ControlApp, { gate, services }: ControlOptions): void {
  app.get(
    '/api/v1/audit',
    {
      onRequest: gate.needs('admin.audit'),
      schema: {
        tags,
        summary: 'Who did what, newest first',
        querystring: auditQuery,
        response: { 200: pageOf(auditSchema), ...PROBLEMS },
      },
    },
    async (request) => {
      const { account, action, topicId, limit, cursor } = request.query
      const page = await services.auth.audit.list(gate.caller(request), {
        limit,
        cursor,
        ...(account === undefined ? {} : { accountId: account }),
        ...(action === undefined ? {} : { action }),
        ...(topicId === undefined ? {} : { topicId }),
      })
      return toPage(page, toAuditWire)
    },
  )
}
