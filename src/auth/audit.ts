import type { Caller } from '../core/account.ts'
import type { JsonObject } from '../core/json.ts'
import { actorOf, may } from '../core/permissions.ts'
import type { Clock } from '../platform/clock.ts'
import type { Ids } from '../platform/ids.ts'
import { type AuditEntry, insertAudit, listAudit } from '../store/audit.ts'
import type { Database, WriteTransaction } from '../store/database.ts'
import type { Page, PageRequest } from '../store/rows.ts'

export interface AuditedAct {
  /** Such as `token.create`. */
  readonly action: string
  readonly topic: string
  readonly topicId: string
  /** Never a secret. */
  readonly data?: JsonObject
  /** Whose record it is about; the caller's own account where left out. */
  readonly accountId?: string
}

export interface AuditListQuery extends PageRequest {
  readonly action?: string
  readonly topicId?: string
  /** Heard only from whoever has `admin.audit`. */
  readonly accountId?: string | null
}

export interface AuditOptions {
  readonly database: Database
  readonly clock: Pick<Clock, 'nowMs'>
  readonly ids: Ids
}

/** Who did what. */
export class Audit {
  readonly #options: AuditOptions

  constructor(options: AuditOptions) {
    this.#options = options
  }

  async record(caller: Caller, act: AuditedAct): Promise<void> {
    await this.#options.database.write((tx) => this.recordIn(tx, caller, act))
  }

  /** In the commit that does it. */
  async recordIn(tx: WriteTransaction, caller: Caller, act: AuditedAct): Promise<void> {
    await insertAudit(tx, {
      id: this.#options.ids.newId(),
      accountId: act.accountId ?? caller.accountId,
      actor: actorOf(caller),
      action: act.action,
      topic: act.topic,
      topicId: act.topicId,
      data: act.data ?? {},
      atMs: this.#options.clock.nowMs(),
    })
  }

  /** Newest first: of the own account, or of all for whoever has `admin.audit`. */
  list(caller: Caller, query: AuditListQuery): Promise<Page<AuditEntry>> {
    const accountId = may(caller, 'admin.audit') ? (query.accountId ?? null) : caller.accountId
    return listAudit(this.#options.database.sql, { ...query, accountId })
  }
}
