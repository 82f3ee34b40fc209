import type { JsonObject } from './json.ts'

/** A place where bytes rest, as it is recorded. The pool `local` is always there and has no record. */
export interface PoolRecord {
  readonly id: string
  /** `null`: everybody of this server may use it. */
  readonly accountId: string | null
  readonly name: string
  /** What opens it, such as `local`. */
  readonly kind: string
  /** By kind: the folder of a local one. */
  readonly config: JsonObject
  readonly createdAtMs: number
}

/** What lies in a pool, by the records of the snapshots. */
export interface PoolUsage {
  readonly usedBytes: number
  readonly snapshotCount: number
}
