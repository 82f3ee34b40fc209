import type { JsonObject } from './json.ts'

/** What a finished backup left: one restorable point in time of one source, in one pool. */
export interface Snapshot {
  readonly id: string
  readonly accountId: string
  readonly sourceId: string
  /** The backup that made it. */
  readonly operationId: string
  readonly poolId: string
  /** What reads it, such as `archive`. */
  readonly format: string
  /** Where it rests: the key of its object in the pool. */
  readonly key: string
  /** Size of the object. */
  readonly bytes: number
  /** Size of what it holds. */
  readonly contentBytes: number
  readonly itemCount: number
  /** Of the object, in hex. */
  readonly sha256: string
  readonly warningCount: number
  /** What its engine needs to read it again, such as the compression and the key of the manifest. */
  readonly details: JsonObject
  readonly pinned: boolean
  readonly verifiedAtMs: number | null
  /** `null` until it was verified. */
  readonly verifiedWell: boolean | null
  readonly createdAtMs: number
}

/** What an engine says of the snapshot it made; the rest is known to whoever runs it. */
export type SnapshotDraft = Pick<
  Snapshot,
  'poolId' | 'format' | 'key' | 'bytes' | 'contentBytes' | 'itemCount' | 'sha256' | 'details'
>
