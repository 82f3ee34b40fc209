import type { EventWire, OperationWire, ProgressWire } from './control.ts'

/**
 * The live feed: `/api/v1/live` as a WebSocket, `/api/v1/live/events` as
 * Server-Sent Events with the same messages as `data`.
 *
 * After the first `subscribe` the server sends one `snapshot`, then events in
 * sequence and progress as it comes. With `since` (the last sequence the client
 * has seen) the events that were missed come first.
 */
export type LiveTopic = 'operations' | 'sources' | 'snapshots' | 'pools' | 'devices'

export type LiveSubject = LiveTopic | `operation:${string}` | `source:${string}`

export type LiveRequest =
  | { type: 'auth'; token: string }
  /** Topics, or `operation:<id>` and `source:<id>` for one of them. `type` may be left out. */
  | { type?: 'subscribe'; subscribe: LiveSubject[]; since?: number }
  | { type: 'ping' }

export type LiveMessage =
  /** What runs or waits now, and the sequence it is true at. */
  | { type: 'snapshot'; sequence: number; operations: OperationWire[] }
  /** Something happened. For an operation its new state comes along. */
  | { type: 'event'; sequence: number; event: EventWire; operation: OperationWire | null }
  /** Only the newest is sent to a slow reader. */
  | { type: 'progress'; operationId: string; sourceId: string | null; progress: ProgressWire }
  /** `since` is older than the log reaches: read everything anew. */
  | { type: 'resync'; sequence: number }
  | { type: 'error'; code: string; message: string }
  | { type: 'pong' }
