import type { JsonObject } from './json.ts'
import type { SourceKind } from './kinds.ts'

/** A thing to protect. */
export interface Source {
  readonly id: string
  readonly accountId: string
  readonly kind: SourceKind
  readonly name: string
  readonly deviceId: string | null
  /** By kind, as in product.md "Sources". Secrets in it are sealed. */
  readonly config: JsonObject
  readonly createdAtMs: number
}

export interface Device {
  readonly id: string
  readonly accountId: string
  readonly name: string
  readonly createdAtMs: number
}
