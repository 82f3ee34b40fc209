import { WORKER_VANISHED_AFTER_MS } from '../core/limits.ts'

export interface WorkerBeat {
  readonly id: string
  readonly beat: number
}

interface Sighting {
  readonly beat: number
  readonly changedAtMs: number
}

/**
 * Between two looks that lie further apart than this, the watcher itself stood
 * still (a stopped process, a sleeping machine). What it did not see says
 * nothing about others: it begins to watch anew.
 */
const BLIND_AFTER_MS = 3_000

/**
 * Tells from beats alone which workers have vanished. Only the watcher's own
 * monotonic clock is asked, so it does not matter what time it is anywhere.
 */
export class WorkerWatch {
  readonly #vanishedAfterMs: number
  #sightings = new Map<string, Sighting>()
  #lookedAtMs = Number.NEGATIVE_INFINITY

  constructor(vanishedAfterMs = WORKER_VANISHED_AFTER_MS) {
    this.#vanishedAfterMs = vanishedAfterMs
  }

  /** Takes the beats as they are recorded now; answers the workers that have vanished. */
  look(workers: readonly WorkerBeat[], nowMs: number): readonly string[] {
    const wasBlind = nowMs - this.#lookedAtMs > BLIND_AFTER_MS
    this.#lookedAtMs = nowMs
    const sightings = new Map<string, Sighting>()
    for (const { id, beat } of workers) {
      const last = wasBlind ? undefined : this.#sightings.get(id)
      sightings.set(id, last?.beat === beat ? last : { beat, changedAtMs: nowMs })
    }
    this.#sightings = sightings
    return [...sightings]
      .filter(([, sighting]) => nowMs - sighting.changedAtMs >= this.#vanishedAfterMs)
      .map(([id]) => id)
  }
}
