import type { FastifyInstance, FastifyRequest } from 'fastify'
import { AppError } from '../core/errors.ts'
import { STATUSES } from '../core/operation.ts'
import { isAdmin } from '../core/permissions.ts'
import { isFromHere } from './addresses.ts'
import { type Gate, headerToken } from './auth.ts'
import type { Services } from './face.ts'

const CHECK_PATIENCE_MS = 5_000

export interface HealthOptions {
  readonly services: Services
  readonly gate: Gate
  readonly version: string
}

/** `/healthz` for whoever restarts us, `/metrics` for whoever watches us. */
export function registerHealth(
  app: FastifyInstance,
  { services, gate, version }: HealthOptions,
): void {
  app.get('/healthz', { schema: { hide: true } }, async (request, reply) => {
    const checks = await runChecks(services)
    const isWell = Object.values(checks).every((word) => word === 'ok')
    // Whether it works is for everybody; what it is made of is not.
    const details = (await mayWatch(request, gate)) ? { version, checks } : {}
    reply.header('cache-control', 'no-store')
    return await reply
      .code(isWell ? 200 : 503)
      .type('application/json')
      .serializer(JSON.stringify)
      .send({ status: isWell ? 'ok' : 'failing', ...details })
  })

  app.get('/metrics', { schema: { hide: true } }, async (request, reply) => {
    await assertMayWatch(request, gate)
    return await reply
      .header('cache-control', 'no-store')
      .type('text/plain; version=0.0.4; charset=utf-8')
      .serializer(String)
      .send(await metricsText(services))
  })
}

/** Each check by name: `ok`, or in a word that it failed. Why stands in the log only. */
async function runChecks({ checks, log }: Services): Promise<Record<string, string>> {
  const results = await Promise.all(
    Object.entries(checks).map(async ([name, check]) => {
      const late = Promise.withResolvers<never>()
      const timer = setTimeout(
        () => late.reject(new AppError('unavailable', `check ${name} did not end in time`)),
        CHECK_PATIENCE_MS,
      )
      try {
        await Promise.race([check(), late.promise])
        return [name, 'ok']
      } catch (error) {
        log.warn('health check failed', { name, error })
        return [name, 'failing']
      } finally {
        clearTimeout(timer)
      }
    }),
  )
  return Object.fromEntries(results)
}

/** The figures are of all accounts: for this machine itself, and for administrators. */
async function assertMayWatch(request: FastifyRequest, gate: Gate): Promise<void> {
  if (isFromHere(request.raw)) return
  const caller = await gate.identify(headerToken(request.headers), request.ip)
  if (!isAdmin(caller)) throw new AppError('forbidden', 'only administrators may read /metrics')
}

async function mayWatch(request: FastifyRequest, gate: Gate): Promise<boolean> {
  try {
    await assertMayWatch(request, gate)
    return true
  } catch (error) {
    if (error instanceof AppError) return false
    throw error
  }
}

async function metricsText({ jobs, hub, clock }: Services): Promise<string> {
  const counts = await jobs.countByStatus()
  const memory = process.memoryUsage()
  const lines = [
    ...metric('holdfast_operations', 'gauge', 'Operations by status.', [
      ...STATUSES.map((status) => [`{status="${status}"}`, counts[status] ?? 0] as const),
    ]),
    ...metric('holdfast_operations_running', 'gauge', 'Operations that run now.', [
      ['', counts['running'] ?? 0],
    ]),
    ...metric('holdfast_live_listeners', 'gauge', 'Readers of the live feed.', [
      ['', hub.listenerCount],
    ]),
    ...metric('process_resident_memory_bytes', 'gauge', 'Memory in use.', [['', memory.rss]]),
    ...metric('nodejs_heap_size_used_bytes', 'gauge', 'Heap in use.', [['', memory.heapUsed]]),
    ...metric('process_start_time_seconds', 'gauge', 'When the process began.', [
      ['', Math.round(clock.nowMs() / 1000 - process.uptime())],
    ]),
  ]
  return `${lines.join('\n')}\n`
}

const metric = (
  name: string,
  type: 'gauge' | 'counter',
  help: string,
  values: readonly (readonly [labels: string, value: number])[],
): string[] => [
  `# HELP ${name} ${help}`,
  `# TYPE ${name} ${type}`,
  ...values.map(([labels, value]) => `${name}${labels} ${value}`),
]
