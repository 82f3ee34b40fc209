import { isFinal, type Operation } from '../../core/operation.ts'
import type { Hub, LiveNews } from '../../live/hub.ts'
import type { Access } from './access.ts'
import { isFramed } from './frames.ts'
import type { Session } from './session.ts'

/** Ends kept for whoever connects next, for each server. */
const UNTOLD_MAX = 20

/** Hands the news of each server to the sockets of that server, and to no other. */
export class WingsFeed {
  readonly #hub: Hub
  readonly #sessions = new Map<string, Set<Session>>()
  /** Of operations that run: progress comes without its operation. */
  readonly #known = new Map<string, Operation>()
  /** Operations that an earlier life of this process began. */
  readonly #inherited = new Set<string>()
  readonly #untold = new Map<string, Operation[]>()
  readonly #stop: () => void

  constructor(hub: Hub) {
    this.#hub = hub
    this.#stop = hub.subscribe((news) => this.#hear(news))
  }

  /** Learns what an earlier life left running. To be awaited before anything is run. */
  async start(): Promise<void> {
    for (const operation of await this.#hub.liveOperations(null)) {
      if (!isFramed(operation)) continue
      this.#known.set(operation.id, operation)
      if (operation.startedAtMs !== null) this.#inherited.add(operation.id)
    }
  }

  close(): void {
    this.#stop()
  }

  countOn(serverId: string): number {
    return this.#sessions.get(serverId)?.size ?? 0
  }

  add(serverId: string, session: Session): () => void {
    const sessions = this.#sessions.get(serverId) ?? new Set()
    sessions.add(session)
    this.#sessions.set(serverId, sessions)
    return () => {
      sessions.delete(session)
      if (sessions.size === 0) this.#sessions.delete(serverId)
    }
  }

  /** What a socket that has just signed in should see: what is under way, and ends that nobody heard. */
  async replay(serverId: string): Promise<readonly Operation[]> {
    const live = await this.#hub.liveOperations(null)
    const untold = this.#untold.get(serverId) ?? []
    this.#untold.delete(serverId)
    return [...untold, ...live.filter((one) => one.sourceId === serverId && isFramed(one))]
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
    const { operation, event } = news
    if (operation === null || operation.sourceId === null || !isFramed(operation)) return
    if (isFinal(operation.status)) this.#known.delete(operation.id)
    else this.#known.set(operation.id, operation)
    this.#tell(operation.sourceId, operation, event.type)
  }

  #tell(serverId: string, operation: Operation, event: string): void {
    let isHeard = false
    for (const session of this.#sessions.get(serverId) ?? []) {
      isHeard ||= session.mayReadBackups
      session.changed(operation, event)
    }
    if (!isFinal(operation.status)) return
    // seed 000 and decisions: after a crash the last frame is "sent by the next start to whoever connects".
    if (this.#inherited.delete(operation.id) && !isHeard) {
      const untold = this.#untold.get(serverId) ?? []
      this.#untold.set(serverId, [...untold, operation].slice(-UNTOLD_MAX))
    }
  }
}
