import type {
  NewOperation,
  NewTokenWire,
  OperationStatus,
  OperationWire,
  PoolWire,
  RestoreRequest,
  SnapshotWire,
  SourceWire,
  VerifyRequest,
  WarningWire,
} from '@holdfast/sdk'

export interface OperationQuery {
  readonly kind?: string
  readonly statuses?: readonly OperationStatus[]
  readonly sourceId?: string
  readonly limit: number
}

export interface NewDirectorySource {
  readonly name: string
  readonly config: Readonly<Record<string, unknown>>
}

export interface TokenRequest {
  readonly name: string
  readonly permissions: readonly string[]
  readonly expiresAt: string | null
  readonly accountId: string | null
}

export interface Follower {
  onOperation(operation: OperationWire): void
  /** The server went away, or came back. */
  onReach?(isThere: boolean): void
}

/**
 * What commands do their work with: a running server, or the core opened in
 * this process where none runs. Records are as the control API shows them, so
 * that `--json` says the same either way. An implementation
 *
 * - MUST reject with an error that has a `code` of docs/errors.md;
 * - MUST tell `follow` every status it sees, ending with the final one;
 * - MUST, after `close`, leave nothing running in this process.
 */
export interface Session {
  readonly kind: 'server' | 'embedded'
  sources(): Promise<SourceWire[]>
  createSource(source: NewDirectorySource): Promise<SourceWire>
  submit(operation: NewOperation): Promise<OperationWire>
  restore(snapshotId: string, request: RestoreRequest): Promise<OperationWire>
  verify(snapshotId: string, request: VerifyRequest): Promise<OperationWire>
  operation(id: string): Promise<OperationWire>
  /** Newest first. */
  operations(query: OperationQuery): Promise<OperationWire[]>
  /** Resolves with the operation in its final status. Rejects with the signal's reason. */
  follow(id: string, follower: Follower, signal: AbortSignal): Promise<OperationWire>
  pause(id: string): Promise<OperationWire>
  resume(id: string): Promise<OperationWire>
  cancel(id: string): Promise<OperationWire>
  warnings(id: string, limit: number): Promise<readonly WarningWire[]>
  /** Newest first. */
  snapshots(query: { readonly sourceId?: string; readonly limit: number }): Promise<SnapshotWire[]>
  snapshot(id: string): Promise<SnapshotWire>
  pools(): Promise<PoolWire[]>
  createToken(token: TokenRequest): Promise<NewTokenWire>
  close(): Promise<void>
}
