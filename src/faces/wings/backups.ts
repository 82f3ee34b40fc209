import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { Caller } from '../../core/account.ts'
import { AppError } from '../../core/errors.ts'
import type { JsonObject } from '../../core/json.ts'
import { isFinal, type Operation } from '../../core/operation.ts'
import type { Source } from '../../core/source.ts'
import type { Services } from '../face.ts'
import {
  backupParam,
  findOperation,
  parseUuid,
  type RouteOptions,
  SENTENCES,
  snapshotOf,
} from './lookups.ts'

const backupBody = z.object({
  adapter: z.enum(['wings', 's3']).default('wings'),
  uuid: z.string(),
  ignore: z
    .string()
    .max(32 * 1024)
    .default(''),
  checksum_type: z.enum(['sha256', 'sha1']).optional(),
})

const restoreBody = z.object({
  adapter: z.enum(['wings', 's3']).default('wings'),
  truncate_directory: z.boolean().default(false),
  download_url: z.string().optional(),
})

/** How long a delete waits for a running backup to let go. */
const CANCEL_WAIT_MS = 15_000
const LIST_PAGE = 500

/** The backup routes of the daemon API (contract 000, A5). */
export function backupRoutes(app: FastifyInstance, { services, serverOf }: RouteOptions): void {
  app.post('/api/servers/:server/backup', async (request, reply) => {
    const { caller, server } = await serverOf(request, 'backup.create')
    const body = parseBody(backupBody, request.body)
    const uuid = parseUuid(body.uuid)
    if (body.adapter === 's3') throw new AppError('invalid', SENTENCES.noS3)
    await refuseTakenId(services, caller, uuid)
    await submit(services, caller, {
      id: uuid,
      kind: 'backup',
      sourceId: server.id,
      input: {
        // decisions 000: "`.tar.gz` by default in this face (level `best_speed`)".
        compression: 'gzip',
        level: 'best_speed',
        ...(body.ignore.trim() === '' ? {} : { ignore: body.ignore }),
        ...(body.checksum_type === 'sha1' ? { checksums: ['sha1'] } : {}),
      },
    })
    return await reply.code(202).send()
  })

  app.post('/api/servers/:server/backup/:backup/restore', async (request, reply) => {
    const { caller, server } = await serverOf(request, 'backup.restore')
    const body = parseBody(restoreBody, request.body ?? {})
    const backupId = backupParam(request)
    if (body.adapter === 's3') {
      throw new AppError('invalid', body.download_url ? SENTENCES.noS3 : SENTENCES.noDownloadUrl)
    }
    const snapshot = await snapshotOf(services, caller, server, backupId)
    await submit(services, caller, {
      kind: 'restore',
      sourceId: server.id,
      snapshotId: snapshot.id,
      input: { backupId, mode: body.truncate_directory ? 'replace' : 'merge' },
    })
    return await reply.code(202).send()
  })

  app.delete('/api/servers/:server/backup/:backup', async (request, reply) => {
    const { caller, server } = await serverOf(request, 'backup.delete')
    const backupId = backupParam(request)
    const wasRunning = await cancelBackup(services, caller, server, backupId)
    // contract 000, B 18: "cancel first, then 204".
    if (!wasRunning) {
      const snapshot = await snapshotOf(services, caller, server, backupId)
      await inDialect(() => services.snapshots.remove(caller, snapshot.id))
    }
    return await reply.code(204).send()
  })

  app.delete('/api/servers/:server/deleteAllBackups', async (request, reply) => {
    const { caller, server } = await serverOf(request, 'backup.delete')
    for (const operation of await services.jobs.live(caller)) {
      if (operation.kind !== 'backup') continue
      await cancelBackup(services, caller, server, operation.id)
    }
    await removeAll(services, caller, server)
    return await reply.code(204).send()
  })
}

function parseBody<T>(schema: z.ZodType<T>, body: unknown): T {
  const parsed = schema.safeParse(body)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const field = issue?.path.join('.') ?? ''
  if (field === 'uuid') throw new AppError('invalid', SENTENCES.badUuid)
  throw new AppError(
    'invalid',
    `${field === '' ? 'body' : field}: ${issue?.message ?? 'not valid'}`,
  )
}

async function refuseTakenId(services: Services, caller: Caller, uuid: string): Promise<void> {
  if ((await findOperation(services, caller, uuid)) !== null) {
    throw new AppError('conflict', SENTENCES.taken, { operationId: uuid })
  }
}

async function submit(
  { jobs }: Services,
  caller: Caller,
  request: Parameters<Services['jobs']['submit']>[1] & { readonly input: JsonObject },
): Promise<Operation> {
  return await inDialect(
    () => jobs.submit(caller, request),
    // Also where two ask for the same id at once, or it is the id of somebody else's.
    ({ code, details }) => code === 'conflict' && details['operationId'] === request.id,
  )
}

/** A subject that is held is said in the words of the dialect; the holder stays in the details. */
async function inDialect<T>(
  act: () => Promise<T>,
  isTaken: (error: AppError) => boolean = () => false,
): Promise<T> {
  try {
    return await act()
  } catch (error) {
    if (error instanceof AppError && error.details['subject'] !== undefined) {
      throw new AppError('conflict', SENTENCES.busy, error.details, error)
    }
    if (error instanceof AppError && isTaken(error)) {
      throw new AppError('conflict', SENTENCES.taken, error.details, error)
    }
    throw error
  }
}

/** Answers whether a backup of that id was under way; it no longer is then. */
async function cancelBackup(
  { jobs, ...services }: Services,
  caller: Caller,
  server: Source,
  backupId: string,
): Promise<boolean> {
  const operation = await findOperation({ jobs, ...services }, caller, backupId)
  if (operation?.kind !== 'backup' || operation.sourceId !== server.id) return false
  if (isFinal(operation.status)) return false
  await jobs.cancel(caller, operation.id)
  const ended = await jobs.waitForEnd(caller, operation.id, {
    timeoutMs: CANCEL_WAIT_MS,
  })
  // It still may complete: "not there" would be a guess.
  if (!isFinal(ended.status)) throw new AppError('conflict', SENTENCES.stopping)
  return ended.status !== 'completed'
}

/** What is pinned or in use stays, and is said when all others are gone. */
async function removeAll({ snapshots }: Services, caller: Caller, server: Source): Promise<void> {
  let refusal: AppError | null = null
  let cursor: string | null = null
  do {
    const page: Awaited<ReturnType<typeof snapshots.list>> = await snapshots.list(caller, {
      sourceId: server.id,
      limit: LIST_PAGE,
      cursor,
    })
    for (const { id } of page.items) {
      try {
        await inDialect(() => snapshots.remove(caller, id))
      } catch (error) {
        if (!(error instanceof AppError)) throw error
        if (error.code === 'conflict') refusal ??= error
        else if (error.code !== 'not_found') throw error
      }
    }
    cursor = page.nextCursor
  } while (cursor !== null)
  if (refusal !== null) throw refusal
}
