import { z } from 'zod'
import type { JsonObject } from '../../core/json.ts'
import type { OperationKind } from '../../core/kinds.ts'
import { PRIORITY_MAX } from '../../core/operation.ts'
import { pageQuery, toPage } from '../paging.ts'
import type { ControlApp, ControlOptions } from './control-app.ts'
import { idempotencyHeaders, idempotencyOf, submitOperation } from './operations.ts'
import {
  entrySchema,
  idParams,
  operationSchema,
  PROBLEMS,
  pageOf,
  snapshotSchema,
} from './schemas.ts'
import { toEntryWire, toOperationWire, toSnapshotWire } from './wire.ts'

const tags = ['snapshots']
const PATH_LENGTH_MAX = 4096

const priority = z.number().int().min(0).max(PRIORITY_MAX).optional()

const targetField = z.strictObject({ path: z.string().min(1).max(PATH_LENGTH_MAX) }).optional()

const pathsField = z
  .array(z.string().min(1).max(PATH_LENGTH_MAX))
  .min(1)
  .max(10_000)
  .optional()
  .describe('Exact paths, or globs (`*`, `**`, `?`); everything when left out.')

const restoreBody = z
  .strictObject({
    target: targetField.describe('Where to; in place when left out.'),
    paths: pathsField,
    mode: z.enum(['merge', 'replace']).optional(),
    priority,
  })
  .nullish()

const verifyBody = z
  .strictObject({
    target: targetField.describe(
      'A folder of the server, compared with the snapshot byte for byte; the archive itself when left out.',
    ),
    paths: pathsField,
    priority,
  })
  .nullish()

const listQuery = z.object({
  ...pageQuery,
  source: z.string().max(128).optional(),
  pool: z.string().max(128).optional(),
})

/** What finished backups left. */
export function snapshotRoutes(app: ControlApp, options: ControlOptions): void {
  addList(app, options)
  addGet(app, options)
  addBrowse(app, options)
  addRestore(app, options)
  addVerify(app, options)
  addPin(app, options)
  addRemove(app, options)
}

function addList(app: ControlApp, { gate, services }: ControlOptions): void {
  app.get(
    '/api/v1/snapshots',
    {
      onRequest: gate.needs('snapshots.read'),
      schema: {
        tags,
        summary: 'Snapshots, newest first',
        querystring: listQuery,
        response: { 200: pageOf(snapshotSchema), ...PROBLEMS },
      },
    },
    async (request) => {
      const { source, pool, limit, cursor } = request.query
      const page = await services.snapshots.list(gate.caller(request), {
        limit,
        cursor,
        ...(source === undefined ? {} : { sourceId: source }),
        ...(pool === undefined ? {} : { poolId: pool }),
      })
      return toPage(page, toSnapshotWire)
    },
  )
}

function addGet(app: ControlApp, { gate, services }: ControlOptions): void {
  app.get(
    '/api/v1/snapshots/:id',
    {
      onRequest: gate.needs('snapshots.read'),
      schema: {
        tags,
        summary: 'One snapshot',
        params: idParams,
        response: { 200: snapshotSchema, ...PROBLEMS },
      },
    },
    async (request) =>
      toSnapshotWire(await services.snapshots.get(gate.caller(request), request.params.id)),
  )
}

const browseQuery = z.object({
  limit: pageQuery.limit,
  // Of the reader's own making, and as long as a path.
  cursor: z.string().min(1).max(16_384).nullable().default(null),
  path: z.string().max(PATH_LENGTH_MAX).default('').describe('A folder of the snapshot.'),
})

function addBrowse(app: ControlApp, { gate, services }: ControlOptions): void {
  app.get(
    '/api/v1/snapshots/:id/files',
    {
      onRequest: gate.needs('snapshots.read'),
      schema: {
        tags,
        summary: 'What is in a folder of it: folders first, in name order',
        params: idParams,
        querystring: browseQuery,
        response: { 200: pageOf(entrySchema), ...PROBLEMS },
      },
    },
    async (request) => {
      const { path, limit, cursor } = request.query
      const page = await services.snapshots.browse(gate.caller(request), request.params.id, {
        path: withoutSlashes(path),
        limit,
        cursor,
      })
      return { items: page.entries.map(toEntryWire), nextCursor: page.cursor }
    },
  )
}

/** People write `/etc/` where the snapshot says `etc`. */
export const withoutSlashes = (path: string): string => path.replace(/^\/+|\/+$/g, '')

function addRestore(app: ControlApp, { gate, services }: ControlOptions): void {
  app.post(
    '/api/v1/snapshots/:id/restore',
    {
      onRequest: gate.needs('snapshots.restore'),
      schema: {
        tags,
        summary: 'Restore it, or some of it, in place or elsewhere',
        params: idParams,
        headers: idempotencyHeaders,
        body: restoreBody,
        response: { 202: operationSchema, ...PROBLEMS },
      },
    },
    async (request, reply) => {
      const { priority, target, paths, mode } = request.body ?? {}
      const input = {
        ...(target === undefined ? {} : { target }),
        ...(paths === undefined ? {} : { paths }),
        ...(mode === undefined ? {} : { mode }),
      }
      const submitted = { kind: 'restore' as const, input, ...optional({ priority }) }
      const operation = await submit({ gate, services }, request, submitted)
      reply.header('location', `/api/v1/operations/${operation.id}`)
      return await reply.code(202).send(operation)
    },
  )
}

function addVerify(app: ControlApp, { gate, services }: ControlOptions): void {
  app.post(
    '/api/v1/snapshots/:id/verify',
    {
      onRequest: gate.needs('operations.write'),
      schema: {
        tags,
        summary: 'Read it all again, or a folder, and compare that with its manifest',
        params: idParams,
        headers: idempotencyHeaders,
        body: verifyBody,
        response: { 202: operationSchema, ...PROBLEMS },
      },
    },
    async (request, reply) => {
      const { priority, target, paths } = request.body ?? {}
      const input = {
        ...(target === undefined ? {} : { target }),
        ...(paths === undefined ? {} : { paths }),
      }
      const submitted = { kind: 'verify' as const, input, ...optional({ priority }) }
      const operation = await submit({ gate, services }, request, submitted)
      reply.header('location', `/api/v1/operations/${operation.id}`)
      return await reply.code(202).send(operation)
    },
  )
}

const optional = ({ priority }: { priority: number | undefined }) =>
  priority === undefined ? {} : { priority }

/** Asks for the snapshot first: what is someone else's is not there, whatever is asked of it. */
async function submit(
  { gate, services }: Pick<ControlOptions, 'gate' | 'services'>,
  request: Parameters<ControlOptions['gate']['caller']>[0] & {
    readonly params: { readonly id: string }
    readonly headers: { readonly 'idempotency-key'?: string | undefined }
  },
  submitted: {
    readonly kind: OperationKind
    readonly input?: JsonObject
    readonly priority?: number
  },
) {
  const caller = gate.caller(request)
  const snapshot = await services.snapshots.get(caller, request.params.id)
  const operation = await submitOperation(services, caller, {
    ...submitted,
    input: { ...submitted.input, snapshotId: snapshot.id },
    ...idempotencyOf(request.headers),
  })
  return toOperationWire(operation)
}

function addPin(app: ControlApp, { gate, services }: ControlOptions): void {
  app.patch(
    '/api/v1/snapshots/:id',
    {
      onRequest: gate.needs('snapshots.write'),
      schema: {
        tags,
        summary: 'Pin it, so that nothing removes it, or let it go',
        params: idParams,
        body: z.strictObject({ pinned: z.boolean() }),
        response: { 200: snapshotSchema, ...PROBLEMS },
      },
    },
    async (request) => {
      const caller = gate.caller(request)
      const { id } = request.params
      const { snapshots } = services
      return toSnapshotWire(
        await (request.body.pinned ? snapshots.pin(caller, id) : snapshots.unpin(caller, id)),
      )
    },
  )
}

function addRemove(app: ControlApp, { gate, services }: ControlOptions): void {
  app.delete(
    '/api/v1/snapshots/:id',
    {
      onRequest: gate.needs('snapshots.write'),
      schema: {
        tags,
        summary: 'Remove it; refused while it is pinned or in use',
        params: idParams,
        response: { 204: z.null(), ...PROBLEMS },
      },
    },
    async (request, reply) => {
      await services.snapshots.remove(gate.caller(request), request.params.id)
      return await reply.code(204).send(null)
    },
  )
}
