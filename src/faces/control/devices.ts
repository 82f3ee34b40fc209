import { z } from 'zod'
import { pageQuery, toPage } from '../paging.ts'
import type { ControlApp, ControlOptions } from './control-app.ts'
import { nameField, recordId } from './fields.ts'
import { deviceSchema, idParams, PROBLEMS, pageOf } from './schemas.ts'
import { toDeviceWire } from './wire.ts'

const tags = ['devices']

/** Machines whose sources are shown as one line. */
export function deviceRoutes(app: ControlApp, options: ControlOptions): void {
  addCreate(app, options)
  addList(app, options)
  addGet(app, options)
  addChange(app, options)
  addRemove(app, options)
}

function addCreate(app: ControlApp, { gate, services }: ControlOptions): void {
  app.post(
    '/api/v1/devices',
    {
      onRequest: gate.needs('devices.write'),
      schema: {
        tags,
        summary: 'Add a device',
        body: z.strictObject({ id: recordId.optional(), name: nameField }),
        response: { 201: deviceSchema, ...PROBLEMS },
      },
    },
    async (request, reply) => {
      const { id, name } = request.body
      const device = await services.devices.create(gate.caller(request), {
        name,
        ...(id === undefined ? {} : { id }),
      })
      reply.header('location', `/api/v1/devices/${device.id}`)
      return await reply.code(201).send(toDeviceWire(device))
    },
  )
}

function addList(app: ControlApp, { gate, services }: ControlOptions): void {
  app.get(
    '/api/v1/devices',
    {
      onRequest: gate.needs('devices.read'),
      schema: {
        tags,
        summary: 'Devices, newest first',
        querystring: z.object(pageQuery),
        response: { 200: pageOf(deviceSchema), ...PROBLEMS },
      },
    },
    async (request) =>
      toPage(await services.devices.list(gate.caller(request), request.query), toDeviceWire),
  )
}

function addGet(app: ControlApp, { gate, services }: ControlOptions): void {
  app.get(
    '/api/v1/devices/:id',
    {
      onRequest: gate.needs('devices.read'),
      schema: {
        tags,
        summary: 'One device',
        params: idParams,
        response: { 200: deviceSchema, ...PROBLEMS },
      },
    },
    async (request) =>
      toDeviceWire(await services.devices.get(gate.caller(request), request.params.id)),
  )
}

function addChange(app: ControlApp, { gate, services }: ControlOptions): void {
  app.patch(
    '/api/v1/devices/:id',
    {
      onRequest: gate.needs('devices.write'),
      schema: {
        tags,
        summary: 'Rename a device',
        params: idParams,
        body: z.strictObject({ name: nameField }),
        response: { 200: deviceSchema, ...PROBLEMS },
      },
    },
    async (request) =>
      toDeviceWire(
        await services.devices.update(gate.caller(request), request.params.id, request.body),
      ),
  )
}

function addRemove(app: ControlApp, { gate, services }: ControlOptions): void {
  app.delete(
    '/api/v1/devices/:id',
    {
      onRequest: gate.needs('devices.write'),
      schema: {
        tags,
        summary: 'Remove a device that has no sources',
        params: idParams,
        response: { 204: z.null(), ...PROBLEMS },
      },
    },
    async (request, reply) => {
      await services.devices.remove(gate.caller(request), request.params.id)
      return await reply.code(204).send(null)
    },
  )
}
