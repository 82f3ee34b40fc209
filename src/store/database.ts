import type { Kysely, Transaction } from 'kysely'
import type { LoggedEvent, NewEvent } from '../core/events.ts'
import type { Tables } from './tables.ts'

/** One unit of writing. It may be run again after a lost race, so it MUST do nothing but write here. */
export interface WriteTransaction {
  readonly sql: Transaction<Tables>
  /** Adds to the event log in the same commit. The sequence is given when it commits. */
  append(event: NewEvent): void
}

export interface WriteOptions {
  /**
   * `false` for what may be lost in a power cut, such as progress and beats: it
   * then costs no sync of the disk. Never for a change of status.
   */
  readonly durable?: boolean
}

export type WakeListener = (topic: WakeTopic, id: string) => void

/** What other parts and processes are woken for: `work` (something to claim), `intent` and `progress` of an operation. */
export type WakeTopic = 'work' | 'intent' | 'progress'

/**
 * The durable records. An implementation
 *
 * - MUST have a durable write on the disk (fsync) before `write` resolves;
 * - MUST run each unit all or nothing, also when several share one commit: one
 *   that throws is rolled back alone;
 * - MUST give event sequences that rise in commit order, so that a reader who
 *   has seen sequence n never finds a smaller one later;
 * - MUST tell `onEvents` listeners every event once, in order, after its commit,
 *   those of other processes on the same database included;
 * - MUST refuse (`unavailable`, with a sentence) records made by a newer version.
 *
 * `describeDatabase` in database.contract.ts holds both to these.
 */
export interface Database {
  readonly dialect: 'sqlite' | 'postgres'
  /** For reading. Writing goes through `write`. */
  readonly sql: Kysely<Tables>
  /** Units that arrive together share one commit (group commit). */
  write<T>(unit: (transaction: WriteTransaction) => Promise<T>, options?: WriteOptions): Promise<T>
  onEvents(listener: (events: readonly LoggedEvent[]) => void): () => void
  /** Wakes listeners here and in every process on the same database. Best effort: a listener also polls. */
  wake(topic: WakeTopic, id: string): void
  onWake(listener: WakeListener): () => void
  close(): Promise<void>
}
