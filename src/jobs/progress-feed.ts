import type { ProgressNews } from '../core/events.ts'
import { isFinal } from '../core/operation.ts'
import type { Log } from '../platform/log.ts'
import type { Database } from '../store/database.ts'
import { findOperation } from '../store/operations.ts'

/**
 * Hands progress to whoever listens. That of this process arrives as it is said;
 * that of others on the same database is read when they say there is some.
 */
export class ProgressFeed {
  readonly #database: Database
  readonly #log: Log
  readonly #listeners = new Set<(news: ProgressNews) => void>()
  /** Operations that run here: what is said of them through the store is known already. */
  readonly #own = new Set<string>()
  readonly #reading = new Set<string>()
  #stopListening: (() => void) | null = null

  constructor(database: Database, log: Log) {
    this.#database = database
    this.#log = log
  }

  onProgress(listener: (news: ProgressNews) => void): () => void {
    const own = (news: ProgressNews) => listener(news)
    this.#listeners.add(own)
    this.#stopListening ??= this.#database.onWake((topic, id) => {
      if (topic === 'progress' && !this.#own.has(id)) void this.#read(id)
    })
    return () => {
      this.#listeners.delete(own)
      if (this.#listeners.size > 0) return
      this.#stopListening?.()
      this.#stopListening = null
    }
  }

  begin(operationId: string): void {
    this.#own.add(operationId)
  }

  end(operationId: string): void {
    this.#own.delete(operationId)
  }

  /** Never throws: a listener that does is logged, and the others still hear. */
  tell(news: ProgressNews): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(news)
      } catch (error) {
        this.#log.error('a progress listener failed', { operationId: news.operationId, error })
      }
    }
  }

  /** Tells other processes that there is newer progress in the store. The embedded store has none. */
  stored(operationId: string): void {
    if (this.#database.dialect === 'postgres') this.#database.wake('progress', operationId)
  }

  async #read(operationId: string): Promise<void> {
    if (this.#reading.has(operationId)) return
    this.#reading.add(operationId)
    try {
      const operation = await findOperation(this.#database.sql, operationId)
      if (operation === null || isFinal(operation.status)) return
      const { accountId, sourceId, progress } = operation
      this.tell({ operationId, accountId, sourceId, progress })
    } catch (error) {
      this.#log.warn('could not read the progress of an operation', { operationId, error })
    } finally {
      this.#reading.delete(operationId)
    }
  }
}
