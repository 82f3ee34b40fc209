import type { LoggedEvent, OperationEvent } from '../../core/events.ts'
import { isFinal, type Operation, type Status } from '../../core/operation.ts'
import { endsOperation, type Hub, type LiveNews } from '../../live/hub.ts'
import type { Access } from './access.ts'
import { isFramed } from './frames.ts'
import type { Session } from './session.ts'

/** Ends kept for whoever connects next, for each server. */
const UNTOLD_MAX = 20

/** Hands the news of each server to the sockets of that server, and to no other. */
export class WingsFeed {
  readonly #hub: Pick<Hub, 'subscribe' | 'liveOperations'>
  readonly #sessions = new Map<string, Set<Session>>()
  /** Of operations that run: progress comes without its operation. */
  readonly #known = new Map<string, Operation>()
  /** Operations that an earlier life of this process was asked for. */
  readonly #inherited = new Set<string>()
  readonly #untold = new Map<string, Operation[]>()
  readonly #stop: () => void

  constructor(hub: Pick<Hub, 'subscribe' | 'liveOperations'>) {
    this.#hub = hub
    this.#stop = hub.subscribe((news) => this.#hear(news))
  }

  /** Learns what an earlier life left behind. To be awaited before anything is run. */
  async start(): Promise<void> {
    for (const operation of await this.#hub.liveOperations(null)) {
      if (!isFramed(operation)) continue
      this.#known.set(operation.id, operation)
      this.#inherited.add(operation.id)
    }
  }

  close(): void {
    this.#stop()
  }

  /** Sockets of a server that somebody has signed in on. */
  countOn(serverId: string): number {
    return [...(this.#sessions.get(serverId) ?? [])].filter(({ hasSeat }) => hasSeat).length
  }

  add(serverId: string, session: Session): () => void {
    const sessions = this.#sessions.get(serverId) ?? new Set()
    sessions.add(session)
    this.#sessions.set(serverId, sessions)
    return () => {
      session.left()
      sessions.delete(session)
      if (sessions.size === 0 && this.#sessions.get(serverId) === sessions) {
        this.#sessions.delete(serverId)
      }
    }
  }

  /** What is under way on a server. */
  async replay(serverId: string): Promise<readonly Operation[]> {
    const live = await this.#hub.liveOperations(null)
    return live.filter((one) => one.sourceId === serverId && isFramed(one))
  }

  /** Ends of a server that nobody heard: for one who will be told them, and then forgotten. */
  takeUntold(serverId: string): readonly Operation[] {
    const untold = this.#untold.get(serverId) ?? []
    this.#untold.delete(serverId)
    return untold
  }

  watchTokens(): void {
    for (const session of this.#all()) session.watchToken()
  }

  /** Takes the access away from every session that `match` names. */
  deny(match: (access: Access) => boolean, message: string): void {
    for (const session of this.#all()) if (session.isOf(match)) session.deny(message)
  }

  *#all(): Iterable<Session> {
    for (const sessions of this.#sessions.values()) yield* sessions
  }

  #hear(news: LiveNews): void {
    if (news.type === 'progress') {
      const operation = this.#known.get(news.operationId)
      if (operation?.sourceId == null) return
      for (const session of this.#sessions.get(operation.sourceId) ?? []) {
        session.progressed(operation, news.progress)
      }
      return
    }
    const { event } = news
    if (event.topic === 'source' && event.type === 'deleted') this.#forget(event.topicId)
    if (event.topic !== 'operation') return
    const operation = news.operation ?? this.#endedUnread(event)
    if (operation === null || operation.sourceId === null || !isFramed(operation)) return
    // The state can be ahead of the event: only the event says that it is told now.
    if (endsOperation(event)) this.#known.delete(operation.id)
    else this.#known.set(operation.id, operation)
    this.#tell(operation.sourceId, operation, event)
  }

  #tell(serverId: string, operation: Operation, event: LoggedEvent): void {
    let isHeard = false
    for (const session of this.#sessions.get(serverId) ?? []) {
      isHeard ||= session.mayReadBackups
      session.changed(operation, event.type as OperationEvent)
    }
    if (!endsOperation(event)) return
    // seed 000 and decisions: after a crash the last frame is "sent by the next start to whoever connects".
    if (this.#inherited.delete(operation.id) && !isHeard) {
      const untold = this.#untold.get(serverId) ?? []
      this.#untold.set(serverId, [...untold, operation].slice(-UNTOLD_MAX))
    }
  }

  /** An end is told in any case: where the record could not be read, with what was known of it. */
  #endedUnread(event: LoggedEvent): Operation | null {
    const known = this.#known.get(event.topicId)
    if (known === undefined || !endsOperation(event)) return null
    if (isFinal(known.status)) return known
    return { ...known, status: event.type as Status, finishedAtMs: event.atMs }
  }

  #forget(serverId: string): void {
    for (const session of this.#sessions.get(serverId) ?? []) session.deleted()
    this.#untold.delete(serverId)
  }
}
