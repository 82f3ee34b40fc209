import type { Source } from '../core/source.ts'
import type { Engine } from '../engines/engine.ts'
import type { Clock } from '../platform/clock.ts'
import type { Ids } from '../platform/ids.ts'
import type { Log } from '../platform/log.ts'
import type { Database, WakeListener, WakeTopic } from '../store/database.ts'
import { ProgressFeed } from './progress-feed.ts'
import { QueueLimit } from './queue-limit.ts'
import { StoreTrouble } from './store-trouble.ts'

export interface JobsOptions {
  readonly database: Database
  /** By what they do: `backup:directory`, `restore:archive`, `custom`. */
  readonly engines: ReadonlyMap<string, Engine>
  readonly clock: Clock
  readonly ids: Ids
  readonly log: Log
  /** Opens the secrets of a source for its engine. */
  readonly openSource?: (source: Source) => Source | Promise<Source>
  /** Where backups go that name no pool. */
  readonly defaultPoolId?: string
  /** Operations of one account that may wait or run at once. */
  readonly livePerAccountMax?: number
}

/** What the parts of jobs/ share within one process. */
export class Room {
  readonly database: Database
  readonly engines: ReadonlyMap<string, Engine>
  readonly clock: Clock
  readonly ids: Ids
  readonly log: Log
  readonly openSource: (source: Source) => Source | Promise<Source>
  readonly defaultPoolId: string | null
  readonly progress: ProgressFeed
  readonly trouble: StoreTrouble
  readonly queueLimit: QueueLimit
  /** Operations that an engine of this process works on now, those that lost their lease included. */
  readonly busy = new Set<string>()
  readonly #wakeListeners = new Set<WakeListener>()

  constructor(options: JobsOptions) {
    this.queueLimit = new QueueLimit(options.livePerAccountMax)
    this.trouble = new StoreTrouble(options.clock, options.log)
    this.database = this.trouble.watch(options.database)
    this.engines = options.engines
    this.clock = options.clock
    this.ids = options.ids
    this.log = options.log
    this.openSource = options.openSource ?? ((source) => source)
    this.defaultPoolId = options.defaultPoolId ?? null
    this.progress = new ProgressFeed(this.database, options.log)
  }

  /** Wakes this process in the same instant, and others through the store. Listeners bear being woken twice. */
  wake(topic: WakeTopic, id: string): void {
    for (const listener of this.#wakeListeners) listener(topic, id)
    this.database.wake(topic, id)
  }

  onWake(listener: WakeListener): () => void {
    this.#wakeListeners.add(listener)
    const stopListening = this.database.onWake(listener)
    return () => {
      this.#wakeListeners.delete(listener)
      stopListening()
    }
  }
}
