export interface Pace {
  readonly ratePerSecond: number | null
  readonly secondsLeft: number | null
}

export const NO_PACE: Pace = { ratePerSecond: null, secondsLeft: null }

interface Sample {
  readonly atMs: number
  readonly count: number
}

const WINDOW_MS = 15_000
const SAMPLES_PER_WINDOW = 60
/** Before this much of a run was seen, a rate says more about the start than about the rest. */
const RATE_AFTER_MS = 1_000
const SECONDS_LEFT_AFTER_MS = 4_000
/** The halves of the window must agree within this factor, else the rate is no guide to the rest. */
const STEADY_FACTOR = 3
const SECONDS_LEFT_MAX = 60 * 60 * 24 * 7

/**
 * The rate over a sliding window, and the time that is left at that rate. The
 * time is withheld while it is worthless: at the start, without a total, when
 * the rate swings, and when it would be more than a week.
 */
export class RateWindow {
  readonly #samples: Sample[] = []

  /** Takes the count of now and answers the pace. `nowMs` comes from a monotonic clock. */
  pace(count: number, total: number | null, nowMs: number): Pace {
    this.#add({ atMs: nowMs, count })
    const first = this.#samples[0]
    if (first === undefined || nowMs - first.atMs < RATE_AFTER_MS) {
      return NO_PACE
    }
    const ratePerSecond = rateBetween(first, { atMs: nowMs, count })
    return { ratePerSecond, secondsLeft: this.#secondsLeft(ratePerSecond, count, total, nowMs) }
  }

  #add(sample: Sample): void {
    const last = this.#samples.at(-1)
    // Counts that fall belong to another run: its pace starts from nothing.
    if (last !== undefined && sample.count < last.count) this.#samples.length = 0
    const sinceLast = last === undefined ? Number.POSITIVE_INFINITY : sample.atMs - last.atMs
    if (sinceLast >= WINDOW_MS / SAMPLES_PER_WINDOW) this.#samples.push(sample)
    while (
      this.#samples.length > 1 &&
      sample.atMs - (this.#samples[0] as Sample).atMs > WINDOW_MS
    ) {
      this.#samples.shift()
    }
  }

  #secondsLeft(
    ratePerSecond: number,
    count: number,
    total: number | null,
    nowMs: number,
  ): number | null {
    const first = this.#samples[0]
    const middle = this.#samples[Math.floor(this.#samples.length / 2)]
    if (total === null || first === undefined || middle === undefined) return null
    if (ratePerSecond <= 0 || nowMs - first.atMs < SECONDS_LEFT_AFTER_MS) return null
    const early = rateBetween(first, middle)
    const late = rateBetween(middle, { atMs: nowMs, count })
    if (Math.max(early, late) > STEADY_FACTOR * Math.min(early, late)) return null
    const secondsLeft = Math.ceil(Math.max(0, total - count) / ratePerSecond)
    return secondsLeft > SECONDS_LEFT_MAX ? null : secondsLeft
  }
}

function rateBetween(from: Sample, to: Sample): number {
  const seconds = (to.atMs - from.atMs) / 1000
  return seconds <= 0 ? 0 : Math.round((to.count - from.count) / seconds)
}
