import type { FastifyInstance } from 'fastify'
import { AppError } from '../../core/errors.ts'
import type { Operation } from '../../core/operation.ts'
import { backupIdOf, isFramed } from './frames.ts'
import { backupParam, findLive, type RouteOptions, SENTENCES } from './lookups.ts'

/** What is under way on a server, and how to stop it (contract 000, A5, "fork"). */
export function runningRoutes(app: FastifyInstance, { services, serverOf }: RouteOptions): void {
  const { jobs } = services

  app.get('/api/servers/:server/backup/operations', async (request) => {
    const { caller, server } = await serverOf(request, 'backup.read')
    const live = await jobs.live(caller)
    const operations = live
      .filter((operation) => operation.sourceId === server.id && isFramed(operation))
      .map(toOperationEntry)
    return { operations, count: operations.length }
  })

  app.delete('/api/servers/:server/backup/:backup/cancel', async (request) => {
    const { caller, server } = await serverOf(request, 'backup.delete')
    const operation = await findLive(services, caller, backupParam(request))
    if (operation === null) throw new AppError('not_found', SENTENCES.notRunning)
    if (operation.sourceId !== server.id) throw new AppError('forbidden', SENTENCES.foreign)
    await jobs.cancel(caller, operation.id)
    return { success: true, message: 'Backup operation cancelled successfully' }
  })
}

const toOperationEntry = (operation: Operation) => ({
  id: operation.id,
  backup_id: backupIdOf(operation),
  type: operation.kind,
  start_time: new Date(operation.startedAtMs ?? operation.createdAtMs).toISOString(),
  status: operation.status,
  percentage: operation.progress.percent ?? 0,
})
