import { z } from 'zod'
import { AppError } from '../../core/errors.ts'
import { isAdmin } from '../../core/permissions.ts'
import { pageQuery, toPage } from '../paging.ts'
import type { ControlApp, ControlOptions } from './control-app.ts'
import { jsonObject, nameField, recordId } from './fields.ts'
import { idParams, PROBLEMS, pageOf, poolSchema } from './schemas.ts'
import { toPoolWire } from './wire.ts'

const tags = ['pools']

const createBody = z.strictObject({
  id: recordId.optional(),
  name: nameField,
  kind: z.string().min(1).max(40).describe('`local`: a folder of the server; administrators only.'),
  config: jsonObject.describe('By kind. Of a local one: `path`.'),
  shared: z.boolean().optional().describe('Everybody may use it; administrators only.'),
})

/** Where bytes rest. */
export function poolRoutes(app: ControlApp, options: ControlOptions): void {
  addList(app, options)
  addGet(app, options)
  addCreate(app, options)
  addRename(app, options)
  addRemove(app, options)
}

function addList(app: ControlApp, { gate, services }: ControlOptions): void {
  app.get(
    '/api/v1/pools',
    {
      onRequest: gate.needs('pools.read'),
      schema: {
        tags,
        summary: 'Pools, with their room',
        querystring: z.object(pageQuery),
        response: { 200: pageOf(poolSchema), ...PROBLEMS },
      },
    },
    async (request) =>
      toPage(await services.pools.list(gate.caller(request), request.query), toPoolWire),
  )
}

function addGet(app: ControlApp, { gate, services }: ControlOptions): void {
  app.get(
    '/api/v1/pools/:id',
    {
      onRequest: gate.needs('pools.read'),
      schema: {
        tags,
        summary: 'One pool',
        params: idParams,
        response: { 200: poolSchema, ...PROBLEMS },
      },
    },
    async (request) =>
      toPoolWire(await services.pools.get(gate.caller(request), request.params.id)),
  )
}

function addCreate(app: ControlApp, { gate, services }: ControlOptions): void {
  app.post(
    '/api/v1/pools',
    {
      onRequest: gate.needs('pools.write'),
      schema: {
        tags,
        summary: 'Add a pool',
        body: createBody,
        response: { 201: poolSchema, ...PROBLEMS },
      },
    },
    async (request, reply) => {
      const { id, shared, ...rest } = request.body
      // Its folder is one of the server, and whoever chose it would choose for everybody.
      if (rest.kind === 'local' && !isAdmin(gate.caller(request))) {
        throw new AppError(
          'forbidden',
          'only administrators add pools that are folders of the server',
        )
      }
      const pool = await services.pools.create(gate.caller(request), {
        ...rest,
        ...(id === undefined ? {} : { id }),
        ...(shared === undefined ? {} : { shared }),
      })
      reply.header('location', `/api/v1/pools/${pool.id}`)
      return await reply.code(201).send(toPoolWire(pool))
    },
  )
}

function addRename(app: ControlApp, { gate, services }: ControlOptions): void {
  app.patch(
    '/api/v1/pools/:id',
    {
      onRequest: gate.needs('pools.write'),
      schema: {
        tags,
        summary: 'Rename a pool',
        params: idParams,
        body: z.strictObject({ name: nameField }),
        response: { 200: poolSchema, ...PROBLEMS },
      },
    },
    async (request) => {
      const { id } = request.params
      return toPoolWire(await services.pools.rename(gate.caller(request), id, request.body.name))
    },
  )
}

function addRemove(app: ControlApp, { gate, services }: ControlOptions): void {
  app.delete(
    '/api/v1/pools/:id',
    {
      onRequest: gate.needs('pools.write'),
      schema: {
        tags,
        summary: 'Forget a pool in which nothing rests',
        params: idParams,
        response: { 204: z.null(), ...PROBLEMS },
      },
    },
    async (request, reply) => {
      await services.pools.remove(gate.caller(request), request.params.id)
      return await reply.code(204).send(null)
    },
  )
}
