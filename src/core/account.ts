/** Who owns sources, files and operations. */
export interface Account {
  readonly id: string
  readonly name: string
  readonly quotaBytes: number | null
  readonly createdAtMs: number
}

/** Who asks, and what they may do. Every request carries exactly one. */
export interface Caller {
  readonly accountId: string
  readonly name: string
  /** Permission names; `*` is all but those that begin with `admin`, `admin` is everything. */
  readonly permissions: readonly string[]
  /** Says which token was used in the audit trail; never the token itself. */
  readonly tokenId: string | null
  /** When the token ends: nothing that it makes may open doors for longer. `null`: it does not end. */
  readonly expiresAtMs: number | null
}
