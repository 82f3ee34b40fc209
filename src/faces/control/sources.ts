import { z } from 'zod'
import { SOURCE_KINDS } from '../../core/kinds.ts'
import { pageQuery, toPage } from '../paging.ts'
import type { ControlApp, ControlOptions } from './control-app.ts'
import { jsonObject, nameField, recordId } from './fields.ts'
import { idParams, PROBLEMS, pageOf, sourceSchema } from './schemas.ts'
import { toSourceWire } from './wire.ts'

const createBody = z.strictObject({
  id: recordId.optional().describe('Chosen by us when it is left out.'),
  kind: z.enum(SOURCE_KINDS),
  name: nameField,
  deviceId: recordId.nullish(),
  config: jsonObject.describe('By kind. Of a directory: `path`, `ignore`, `compression`.'),
})

const changeBody = z
  .strictObject({
    name: nameField.optional(),
    deviceId: recordId.nullish(),
    config: jsonObject
      .optional()
      .describe('Replaces the whole; a secret of `"***"` stays as it is.'),
  })
  .refine((body) => Object.keys(body).length > 0, 'expected at least one field to change')

const listQuery = z.object({
  ...pageQuery,
  kind: z.enum(SOURCE_KINDS).optional(),
  device: z.string().max(128).optional(),
})

const tags = ['sources']

const removeQuery = z.object({
  withSnapshots: z
    .enum(['true', 'false'])
    .default('false')
    .transform((word) => word === 'true')
    .describe('Removes its snapshots, too.'),
})

/** What is protected. */
export function sourceRoutes(app: ControlApp, options: ControlOptions): void {
  addCreate(app, options)
  addList(app, options)
  addGet(app, options)
  addChange(app, options)
  addRemove(app, options)
}

function addCreate(app: ControlApp, { gate, services }: ControlOptions): void {
  app.post(
    '/api/v1/sources',
    {
      onRequest: gate.needs('sources.write'),
      schema: {
        tags,
        summary: 'Protect something',
        body: createBody,
        response: { 201: sourceSchema, ...PROBLEMS },
      },
    },
    async (request, reply) => {
      const { id, deviceId, ...rest } = request.body
      const source = await services.sources.create(gate.caller(request), {
        ...rest,
        deviceId: deviceId ?? null,
        ...(id === undefined ? {} : { id }),
      })
      reply.header('location', `/api/v1/sources/${source.id}`)
      return await reply.code(201).send(toSourceWire(source))
    },
  )
}

function addList(app: ControlApp, { gate, services }: ControlOptions): void {
  app.get(
    '/api/v1/sources',
    {
      onRequest: gate.needs('sources.read'),
      schema: {
        tags,
        summary: 'What is protected, newest first',
        querystring: listQuery,
        response: { 200: pageOf(sourceSchema), ...PROBLEMS },
      },
    },
    async (request) => {
      const { kind, device, limit, cursor } = request.query
      const page = await services.sources.list(gate.caller(request), {
        limit,
        cursor,
        ...(kind === undefined ? {} : { kind }),
        ...(device === undefined ? {} : { deviceId: device }),
      })
      return toPage(page, toSourceWire)
    },
  )
}

function addGet(app: ControlApp, { gate, services }: ControlOptions): void {
  app.get(
    '/api/v1/sources/:id',
    {
      onRequest: gate.needs('sources.read'),
      schema: {
        tags,
        summary: 'One source',
        params: idParams,
        response: { 200: sourceSchema, ...PROBLEMS },
      },
    },
    async (request) =>
      toSourceWire(await services.sources.get(gate.caller(request), request.params.id)),
  )
}

function addChange(app: ControlApp, { gate, services }: ControlOptions): void {
  app.patch(
    '/api/v1/sources/:id',
    {
      onRequest: gate.needs('sources.write'),
      schema: {
        tags,
        summary: 'Rename a source, move it to a device, configure it anew',
        params: idParams,
        body: changeBody,
        response: { 200: sourceSchema, ...PROBLEMS },
      },
    },
    async (request) => {
      const { name, deviceId, config } = request.body
      const source = await services.sources.update(gate.caller(request), request.params.id, {
        ...(name === undefined ? {} : { name }),
        ...(deviceId === undefined ? {} : { deviceId }),
        ...(config === undefined ? {} : { config }),
      })
      return toSourceWire(source)
    },
  )
}

function addRemove(app: ControlApp, { gate, services }: ControlOptions): void {
  app.delete(
    '/api/v1/sources/:id',
    {
      onRequest: gate.needs('sources.write'),
      schema: {
        tags,
        summary: 'Stop protecting something; refused while it has snapshots or is in use',
        params: idParams,
        querystring: removeQuery,
        response: { 204: z.null(), ...PROBLEMS },
      },
    },
    async (request, reply) => {
      await services.sources.remove(gate.caller(request), request.params.id, request.query)
      return await reply.code(204).send(null)
    },
  )
}
