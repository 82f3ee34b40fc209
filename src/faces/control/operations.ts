import { z } from 'zod'
import { assertMay } from '../../auth/permissions.ts'
import type { Caller } from '../../core/account.ts'
import type { JsonObject } from '../../core/json.ts'
import { OPERATION_KINDS, type OperationKind } from '../../core/kinds.ts'
import { LONG_POLL_SECONDS_MAX } from '../../core/limits.ts'
import { type Operation, PRIORITY_MAX, STATUSES, type Status } from '../../core/operation.ts'
import type { Services } from '../face.ts'
import { pageQuery, toNumberedPage, toPage } from '../paging.ts'
import type { ControlApp, ControlOptions } from './control-app.ts'
import { jsonObject, listOf, preferredWait, recordId } from './fields.ts'
import { checkSubmission, explainRefusal } from './operation-input.ts'
import {
  eventSchema,
  idParams,
  operationSchema,
  PROBLEMS,
  pageOf,
  warningSchema,
} from './schemas.ts'
import { toEventWire, toOperationWire, toShortOperationWire, toWarningWire } from './wire.ts'

const tags = ['operations']

const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,200}$/

export const idempotencyHeaders = z.object({
  'idempotency-key': z
    .string()
    .regex(IDEMPOTENCY_KEY, 'expected 1 to 200 printable characters without spaces')
    .optional()
    .describe(
      'The same key with the same request is the same operation, however often it is sent.',
    ),
})

/** A submission's options that come in headers. */
export const idempotencyOf = (headers: { 'idempotency-key'?: string | undefined }) =>
  headers['idempotency-key'] === undefined ? {} : { idempotencyKey: headers['idempotency-key'] }

const submitBody = z
  .strictObject({
    kind: z.enum(OPERATION_KINDS),
    sourceId: recordId.optional(),
    snapshotId: recordId.optional(),
    poolId: recordId.optional(),
    input: jsonObject.optional(),
    priority: z.number().int().min(0).max(PRIORITY_MAX).optional(),
  })
  .describe(
    '`{kind: "backup", sourceId}` or `{kind: "restore", input: {snapshotId, target: {path}}}`.',
  )

const listQuery = z.object({
  ...pageQuery,
  kind: listOf(OPERATION_KINDS),
  status: listOf(STATUSES as readonly [Status, ...Status[]]),
  source: z.string().max(128).optional(),
  snapshot: z.string().max(128).optional(),
})

const waitQuery = z.object({
  wait: z.coerce
    .number()
    .int()
    .min(0)
    .max(LONG_POLL_SECONDS_MAX)
    .optional()
    .describe('Seconds to wait for the end; `Prefer: wait=30` does the same.'),
})

/** Durable units of work: submitted, listed, watched and steered. */
export function operationRoutes(app: ControlApp, options: ControlOptions): void {
  addSubmit(app, options)
  addList(app, options)
  addGet(app, options)
  addHistory(app, options)
  addWarnings(app, options)
  addSteering(app, options, 'pause', 'Pause; it can go on from where it is')
  addSteering(app, options, 'resume', 'Go on from where it was paused')
  addSteering(app, options, 'cancel', 'End it; what it made half is removed')
  addRetry(app, options)
}

function addSubmit(app: ControlApp, { gate, services }: ControlOptions): void {
  app.post(
    '/api/v1/operations',
    {
      onRequest: gate.needs('operations.write'),
      schema: {
        tags,
        summary: 'Submit an operation',
        headers: idempotencyHeaders,
        body: submitBody,
        response: { 202: operationSchema, ...PROBLEMS },
      },
    },
    async (request, reply) => {
      const caller = gate.caller(request)
      const operation = await submitOperation(services, caller, {
        ...withoutUndefined(request.body),
        ...idempotencyOf(request.headers),
      })
      reply.header('location', `/api/v1/operations/${operation.id}`)
      return await reply.code(202).send(toOperationWire(operation))
    },
  )
}

/** Every submission of this face comes through here. */
export async function submitOperation(
  { jobs }: Pick<Services, 'jobs'>,
  caller: Caller,
  request: Parameters<Services['jobs']['submit']>[1],
): Promise<Operation> {
  assertMaySubmit(caller, request)
  checkSubmission(request)
  try {
    return await jobs.submit(caller, request)
  } catch (error) {
    throw explainRefusal(error)
  }
}

/**
 * A restore writes into folders of the server, and a verify against a folder
 * tells what is in it: both have a permission of their own.
 */
function assertMaySubmit(
  caller: Caller,
  { kind, input }: { readonly kind: OperationKind; readonly input?: object | undefined },
): void {
  const target = (input as JsonObject | undefined)?.['target'] ?? null
  if (kind === 'restore' || (kind === 'verify' && target !== null)) {
    assertMay(caller, 'snapshots.restore')
  }
}

/** Optional fields that were left out are absent, not undefined. */
const withoutUndefined = <T extends object>(fields: T) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [Key in keyof T]: Exclude<T[Key], undefined>
  }

function addList(app: ControlApp, { gate, services }: ControlOptions): void {
  app.get(
    '/api/v1/operations',
    {
      onRequest: gate.needs('operations.read'),
      schema: {
        tags,
        summary: 'Operations, newest first',
        querystring: listQuery,
        response: { 200: pageOf(operationSchema), ...PROBLEMS },
      },
    },
    async (request) => {
      const { kind, status, source, snapshot, limit, cursor } = request.query
      const page = await services.jobs.list(gate.caller(request), {
        limit,
        cursor,
        ...(kind === undefined ? {} : { kinds: kind }),
        ...(status === undefined ? {} : { statuses: status }),
        ...(source === undefined ? {} : { sourceId: source }),
        ...(snapshot === undefined ? {} : { snapshotId: snapshot }),
      })
      return toPage(page, toShortOperationWire)
    },
  )
}

function addGet(app: ControlApp, { gate, services, closing }: ControlOptions): void {
  app.get(
    '/api/v1/operations/:id',
    {
      onRequest: gate.needs('operations.read'),
      schema: {
        tags,
        summary: 'One operation; waits for its end when asked to',
        params: idParams,
        querystring: waitQuery,
        response: { 200: operationSchema, ...PROBLEMS },
      },
    },
    async (request, reply) => {
      const caller = gate.caller(request)
      const { id } = request.params
      const preferred = preferredWait(request.headers['prefer'])
      const seconds = Math.min(request.query.wait ?? preferred ?? 0, LONG_POLL_SECONDS_MAX)
      // RFC 7240, section 3: says which preferences were honoured.
      if (preferred !== null) reply.header('preference-applied', `wait=${seconds}`)
      if (seconds === 0) return toOperationWire(await services.jobs.get(caller, id))
      const gone = new AbortController()
      request.raw.socket.once('close', () => gone.abort())
      const signal = AbortSignal.any([gone.signal, closing])
      const timeoutMs = seconds * 1000
      return toOperationWire(await services.jobs.waitForEnd(caller, id, { timeoutMs, signal }))
    },
  )
}

const historyQuery = z.object({
  limit: pageQuery.limit,
  cursor: z.coerce.number().int().min(0).optional().describe('`nextCursor` of the page before.'),
  since: z.coerce
    .number()
    .int()
    .min(0)
    .default(0)
    .describe('Answers what came after this sequence.'),
})

function addHistory(app: ControlApp, { gate, services }: ControlOptions): void {
  app.get(
    '/api/v1/operations/:id/events',
    {
      onRequest: gate.needs('operations.read'),
      schema: {
        tags,
        summary: 'What happened to it, oldest first: status changes, phases, warnings',
        params: idParams,
        querystring: historyQuery,
        response: { 200: pageOf(eventSchema), ...PROBLEMS },
      },
    },
    async (request) => {
      const { since, limit, cursor } = request.query
      const events = await services.jobs.events(gate.caller(request), request.params.id, {
        sinceSequence: cursor ?? since,
        limit,
      })
      return toNumberedPage(events.map(toEventWire), limit, (event) => event.sequence)
    },
  )
}

const warningsQuery = z.object({
  limit: pageQuery.limit,
  cursor: z.coerce.number().int().min(0).default(0).describe('`nextCursor` of the page before.'),
})

const warningPage = pageOf(warningSchema).extend({
  total: z.number().int().describe('How many there were, those that were only counted included.'),
})

function addWarnings(app: ControlApp, { gate, services }: ControlOptions): void {
  app.get(
    '/api/v1/operations/:id/warnings',
    {
      onRequest: gate.needs('operations.read'),
      schema: {
        tags,
        summary: 'What was not as it should be, and did not stop the work',
        params: idParams,
        querystring: warningsQuery,
        response: { 200: warningPage, ...PROBLEMS },
      },
    },
    async (request) => {
      const { limit, cursor } = request.query
      const page = await services.jobs.warnings(gate.caller(request), request.params.id, {
        after: cursor,
        limit,
      })
      const { items, nextAfter, total } = page
      const nextCursor = nextAfter === null ? null : String(nextAfter)
      return { items: items.map(toWarningWire), nextCursor, total }
    },
  )
}

function addSteering(
  app: ControlApp,
  { gate, services }: ControlOptions,
  verb: 'pause' | 'resume' | 'cancel',
  summary: string,
): void {
  app.post(
    `/api/v1/operations/:id/${verb}`,
    {
      onRequest: gate.needs('operations.write'),
      schema: {
        tags,
        summary,
        params: idParams,
        response: { 200: operationSchema, ...PROBLEMS },
      },
    },
    async (request) => {
      const caller = gate.caller(request)
      return toOperationWire(await services.jobs[verb](caller, request.params.id))
    },
  )
}

function addRetry(app: ControlApp, { gate, services }: ControlOptions): void {
  app.post(
    '/api/v1/operations/:id/retry',
    {
      onRequest: gate.needs('operations.write'),
      schema: {
        tags,
        summary: 'Submit the same work again, as a new operation',
        params: idParams,
        headers: idempotencyHeaders,
        response: { 202: operationSchema, ...PROBLEMS },
      },
    },
    async (request, reply) => {
      const caller = gate.caller(request)
      assertMaySubmit(caller, await services.jobs.get(caller, request.params.id))
      const key = idempotencyOf(request.headers)
      const operation = await services.jobs.retry(caller, request.params.id, key)
      reply.header('location', `/api/v1/operations/${operation.id}`)
      return await reply.code(202).send(toOperationWire(operation))
    },
  )
}
