import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import type { SqliteDatabase, SqliteStatement } from 'kysely'

const STATEMENTS_KEPT_MAX = 256

/** The little of better-sqlite3 that Kysely calls, on the module of Node. */
export class SqliteConnection implements SqliteDatabase {
  readonly #database: DatabaseSync
  readonly #kept = new Map<string, SqliteStatement>()
  /** Why SQLite itself ended the transaction, as it does when the disk is full; `null` while all is well. */
  #ended: { readonly by: unknown } | null = null

  constructor(database: DatabaseSync) {
    this.#database = database
  }

  close(): void {
    if (this.#database.isOpen) this.#database.close()
  }

  prepare(text: string): SqliteStatement {
    const known = this.#kept.get(text)
    if (known !== undefined) return known
    const statement = this.#prepare(text)
    if (this.#kept.size >= STATEMENTS_KEPT_MAX) this.#kept.clear()
    this.#kept.set(text, statement)
    return statement
  }

  #prepare(text: string): SqliteStatement {
    const database = this.#database
    // A transaction that begins as a reader fails as soon as it writes behind another writer.
    const statement = database.prepare(text === 'begin' ? 'begin immediate' : text)
    const inputs = (parameters: readonly unknown[]) => parameters as SQLInputValue[]
    return {
      reader: statement.columns().length > 0,
      all: (parameters) => this.#guard(() => statement.all(...inputs(parameters))),
      run: (parameters) => {
        if (text === 'rollback' && this.#ended !== null) {
          this.#ended = null
          return { changes: 0, lastInsertRowid: 0 }
        }
        return this.#guard(() => statement.run(...inputs(parameters)))
      },
      // A statement that is stepped through must not be reset by another use of the same text.
      iterate: (parameters) => database.prepare(text).iterate(...inputs(parameters)),
    }
  }

  /** After SQLite has ended a transaction, what still belongs to it must not be written on its own. */
  #guard<T>(work: () => T): T {
    if (this.#ended !== null) {
      throw new Error('the transaction has ended', { cause: this.#ended.by })
    }
    const within = this.#database.isTransaction
    try {
      return work()
    } catch (error) {
      if (within && !this.#database.isTransaction) this.#ended = { by: error }
      throw error
    }
  }
}
