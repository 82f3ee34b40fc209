import { delay } from './backoff.ts'
import { isConnectionLoss } from './errors.ts'
import { type CallOptions, everyPage, type PageOptions } from './paging.ts'
import { newIdempotencyKey, type Transport } from './transport.ts'
import type { EventWire, OperationStatus, OperationWire, PageWire } from './wire/control.ts'

const OPERATIONS = '/api/v1/operations'
const WAIT_SECONDS = 30
const WAIT_AGAIN_AFTER_MS = 1_000

export const FINAL_STATUSES = ['completed', 'failed', 'cancelled', 'expired'] as const

export type FinalStatus = (typeof FINAL_STATUSES)[number]

/** Whether an operation in this status has ended for good. */
export const isFinal = (status: OperationStatus): status is FinalStatus =>
  (FINAL_STATUSES as readonly OperationStatus[]).includes(status)

export interface NewOperation {
  readonly kind: string
  readonly sourceId?: string
  readonly snapshotId?: string
  readonly poolId?: string
  /** 0..100; higher runs first. */
  readonly priority?: number
  readonly input?: Readonly<Record<string, unknown>>
}

/** The key that makes a submission one, however often it is sent. Made for you when left out. */
export interface SubmitOptions extends CallOptions {
  readonly idempotencyKey?: string
}

export interface OperationFilter extends PageOptions {
  readonly kind?: string
  readonly status?: OperationStatus
  readonly source?: string
  readonly snapshot?: string
}

export interface WaitOptions extends CallOptions {
  /** Stop waiting after this long and answer the newest state; for ever when left out. */
  readonly timeoutMs?: number
  /** Give up, with the last failure, when nobody has answered for this long; never when left out. */
  readonly patienceMs?: number
  /** Told every state that is seen on the way. */
  readonly onOperation?: (operation: OperationWire) => void
}

export interface WarningWire {
  readonly number: number
  readonly code: string
  readonly message: string
  readonly item: string | null
}

export interface WarningPage extends PageWire<WarningWire> {
  /** How many there were, those that were only counted included. */
  total: number
}

export class Operations {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /** Submits once: a retry after a lost connection never doubles it. */
  async submit(operation: NewOperation, options: SubmitOptions = {}): Promise<OperationWire> {
    return await this.#transport.json(OPERATIONS, {
      method: 'POST',
      body: operation,
      idempotencyKey: options.idempotencyKey ?? newIdempotencyKey(),
      signal: options.signal,
    })
  }

  async get(id: string, options: CallOptions = {}): Promise<OperationWire> {
    return await this.#transport.json(path(id), { signal: options.signal })
  }

  async list(filter: OperationFilter = {}): Promise<PageWire<OperationWire>> {
    const { signal, ...query } = filter
    return await this.#transport.json(OPERATIONS, { query, signal })
  }

  all(
    filter: Omit<OperationFilter, 'cursor'> = {},
  ): AsyncGenerator<OperationWire, void, undefined> {
    return everyPage((cursor) => this.list(cursor === undefined ? filter : { ...filter, cursor }))
  }

  /**
   * Waits for the end, also through restarts of the server. Ends early with the
   * newest state when `timeoutMs` is over; rejects when `signal` aborts, and when
   * the server stays away for longer than `patienceMs`.
   */
  async wait(id: string, options: WaitOptions = {}): Promise<OperationWire> {
    const end = performance.now() + (options.timeoutMs ?? Number.POSITIVE_INFINITY)
    let answeredMs = performance.now()
    for (;;) {
      const leftMs = Math.max(0, end - performance.now())
      const seconds = Math.min(WAIT_SECONDS, Math.ceil(leftMs / 1000))
      try {
        const operation: OperationWire = await this.#transport.json(path(id), {
          query: seconds > 0 ? { wait: seconds } : {},
          signal: options.signal,
          timeoutMs: seconds * 1000 + 15_000,
        })
        answeredMs = performance.now()
        options.onOperation?.(operation)
        if (isFinal(operation.status) || performance.now() >= end) return operation
      } catch (error) {
        if (options.signal?.aborted || !isConnectionLoss(error)) throw error
        const silentMs = performance.now() - answeredMs
        if (performance.now() >= end || silentMs >= (options.patienceMs ?? Infinity)) throw error
        await delay(WAIT_AGAIN_AFTER_MS, options.signal)
      }
    }
  }

  async pause(id: string, options: CallOptions = {}): Promise<OperationWire> {
    return await this.#act(id, 'pause', options)
  }

  async resume(id: string, options: CallOptions = {}): Promise<OperationWire> {
    return await this.#act(id, 'resume', options)
  }

  async cancel(id: string, options: CallOptions = {}): Promise<OperationWire> {
    return await this.#act(id, 'cancel', options)
  }

  /** Submits the same work again as a new operation, which names this one in `retryOf`. */
  async retry(id: string, options: CallOptions = {}): Promise<OperationWire> {
    return await this.#act(id, 'retry', options)
  }

  /** What happened to it: status changes, phases, warnings; oldest first. */
  async events(
    id: string,
    options: PageOptions & { readonly since?: number } = {},
  ): Promise<PageWire<EventWire>> {
    const { signal, ...query } = options
    return await this.#transport.json(`${path(id)}/events`, { query, signal })
  }

  async warnings(id: string, options: PageOptions = {}): Promise<WarningPage> {
    const { signal, ...query } = options
    return await this.#transport.json(`${path(id)}/warnings`, { query, signal })
  }

  async #act(
    id: string,
    verb: 'pause' | 'resume' | 'cancel' | 'retry',
    options: CallOptions,
  ): Promise<OperationWire> {
    return await this.#transport.json(`${path(id)}/${verb}`, {
      method: 'POST',
      signal: options.signal,
    })
  }
}

const path = (id: string): string => `${OPERATIONS}/${encodeURIComponent(id)}`
