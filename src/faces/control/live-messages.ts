import type { LiveMessage } from '@holdfast/sdk/wire/live'
import { z } from 'zod'
import type { Operation } from '../../core/operation.ts'
import type { LiveNews } from '../../live/hub.ts'
import type { Encoder } from '../../live/session.ts'
import { toEventWire, toProgressWire, toShortOperationWire } from './wire.ts'

/** What a reader may say. `type` may be left out of a subscription. */
export const liveRequestSchema = z.union([
  z.object({ type: z.literal('auth'), token: z.string().min(1).max(8192) }),
  z.object({ type: z.literal('ping') }),
  z.object({
    type: z.literal('subscribe').optional(),
    subscribe: z.array(z.string().min(1).max(200)).min(1).max(1000),
    since: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional(),
  }),
])

function toMessage(news: LiveNews): LiveMessage {
  if (news.type === 'progress') {
    return {
      type: 'progress',
      operationId: news.operationId,
      sourceId: news.sourceId,
      progress: toProgressWire(news.progress),
    }
  }
  return {
    type: 'event',
    sequence: news.event.sequence,
    event: toEventWire(news.event),
    operation: news.operation === null ? null : toShortOperationWire(news.operation),
  }
}

/** Frames of the feed. News are the same object for all readers: each is made once, whoever reads it. */
export class LiveEncoder implements Encoder<Buffer> {
  readonly #made = new WeakMap<LiveNews, Buffer>()
  readonly #frame: (message: LiveMessage) => Buffer

  constructor(frame: (message: LiveMessage) => Buffer) {
    this.#frame = frame
  }

  news(news: LiveNews): Buffer {
    const made = this.#made.get(news)
    if (made !== undefined) return made
    const frame = this.#frame(toMessage(news))
    this.#made.set(news, frame)
    return frame
  }

  snapshot(sequence: number, operations: readonly Operation[]): Buffer {
    return this.#frame({
      type: 'snapshot',
      sequence,
      operations: operations.map(toShortOperationWire),
    })
  }

  resync(sequence: number): Buffer {
    return this.#frame({ type: 'resync', sequence })
  }

  message(message: LiveMessage): Buffer {
    return this.#frame(message)
  }

  byteLength(frame: Buffer): number {
    return frame.byteLength
  }
}

export const toTextFrame = (message: LiveMessage): Buffer => Buffer.from(JSON.stringify(message))

/** https://html.spec.whatwg.org/multipage/server-sent-events.html: the id comes back as `Last-Event-ID`. */
export function toStreamFrame(message: LiveMessage): Buffer {
  const id = 'sequence' in message ? `id: ${message.sequence}\n` : ''
  return Buffer.from(`${id}data: ${JSON.stringify(message)}\n\n`)
}
