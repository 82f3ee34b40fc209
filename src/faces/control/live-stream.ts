import type { ServerResponse } from 'node:http'
import { z } from 'zod'
import { AppError } from '../../core/errors.ts'
import { isAdmin } from '../../core/permissions.ts'
import { parseSubjects, Session, type Sink } from '../../live/session.ts'
import type { ControlApp, ControlOptions } from './control-app.ts'
import { unknownSubject } from './live.ts'
import { LiveEncoder, toStreamFrame } from './live-messages.ts'
import { type LivePlaces, tooManyFeeds } from './live-places.ts'
import {
  assertMayHear,
  identifyReader,
  LOOK_AGAIN_MS,
  readableTopics,
  watchCaller,
} from './live-watch.ts'

const HEARTBEAT_MS = 15_000
/** A reader that takes nothing for this long is gone. */
const STALLED_MS = 60_000

const querySchema = z.object({
  subscribe: z
    .string()
    .max(4000)
    .default('operations')
    .describe('Subjects with commas between: `operations,snapshots,operation:<id>,source:<id>`.'),
  since: z.coerce
    .number()
    .int()
    .min(0)
    .optional()
    .describe('The last sequence that was seen; `Last-Event-ID` does the same, and goes first.'),
})

export interface StreamOptions {
  /** Feeds of each account; WebSockets count, too. */
  readonly feeds: LivePlaces
  readonly lookAgainMs?: number
}

/** `/api/v1/live/events`: the same feed as Server-Sent Events, for where WebSockets do not pass. */
export function liveStreamRoutes(
  app: ControlApp,
  { gate, services, closing }: ControlOptions,
  { feeds, lookAgainMs = LOOK_AGAIN_MS }: StreamOptions,
): void {
  const encoder = new LiveEncoder(toStreamFrame)
  app.get(
    '/api/v1/live/events',
    {
      onRequest: gate.needs('operations.read', { inQuery: true }),
      schema: {
        tags: ['live'],
        summary: 'The live feed as Server-Sent Events',
        querystring: querySchema,
      },
    },
    async (request, reply) => {
      const { subscribe, since } = request.query
      const parsed = parseSubjects(subscribe.split(',').filter((word) => word !== ''))
      if ('unknown' in parsed) throw unknownSubject(parsed.unknown)
      // An EventSource comes back to the same address, with what it has seen since in the header.
      const resumeAt = lastEventId(request.headers['last-event-id']) ?? since ?? null
      const caller = gate.caller(request)
      assertMayHear(caller, parsed.subscription)
      const leaveFeed = feeds.take(caller.accountId)
      if (leaveFeed === null) throw tooManyFeeds()

      reply.hijack()
      const response = reply.raw
      response.writeHead(200, {
        ...(reply.getHeaders() as Record<string, string>),
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-store',
        // A proxy that collects the answer first would make a feed of it no more.
        'x-accel-buffering': 'no',
      })
      response.write('retry: 1000\n\n')
      const session = new Session({
        hub: services.hub,
        accountId: isAdmin(caller) ? null : caller.accountId,
        topics: readableTopics(caller),
        sink: streamSink(response),
        encoder,
        log: services.log,
      })
      watchResponse(response, session, closing)
      const stopWatching = watchCaller({
        caller,
        identify: () => identifyReader(gate, gate.tokenOf(request), request.ip),
        clock: services.clock,
        lookAgainMs,
        // It comes back by itself, and is told why not.
        ended: () => response.end(),
      })
      response.once('close', () => {
        stopWatching()
        leaveFeed()
      })
      await session.subscribe(parsed.subscription, resumeAt)
    },
  )
}

function lastEventId(header: string | string[] | undefined): number | null {
  if (header === undefined || header === '') return null
  const sequence = Number(header)
  if (Number.isSafeInteger(sequence) && sequence >= 0) return sequence
  throw new AppError('invalid', 'last-event-id is not the sequence of an event')
}

const streamSink = (response: ServerResponse): Sink<Buffer> => ({
  send: (frame, left) => {
    if (response.writableEnded || response.destroyed) return queueMicrotask(left)
    response.write(frame, () => left())
  },
  bufferedBytes: () => response.writableLength,
  // An EventSource comes back by itself, with the last id it saw.
  end: () => response.end(),
})

/** Comments keep proxies from closing a silent feed; a reader that takes nothing is let go. */
function watchResponse(
  response: ServerResponse,
  session: Session<Buffer>,
  closing: AbortSignal,
): void {
  let stalledMs = 0
  const heartbeat = setInterval(() => {
    stalledMs = response.writableNeedDrain ? stalledMs + HEARTBEAT_MS : 0
    if (stalledMs >= STALLED_MS) response.destroy()
    else if (!response.writableNeedDrain) response.write(': \n\n')
  }, HEARTBEAT_MS)
  const end = () => response.end()
  closing.addEventListener('abort', end, { once: true })
  response.once('close', () => {
    clearInterval(heartbeat)
    closing.removeEventListener('abort', end)
    session.close()
  })
}
