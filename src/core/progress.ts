/**
 * What an engine says about one run, as often as it likes. Lanes are for the
 * whole operation, not for one phase: `bytesTotal` counts every byte the
 * operation has to work through.
 */
export interface ProgressReport {
  readonly phase: string
  readonly bytesDone: number
  /** `null` until the engine knows it; it may grow, as a tree does while it is read. */
  readonly bytesTotal: number | null
  readonly itemsDone: number
  readonly itemsTotal: number | null
  /** What is being worked on, such as a path inside the source. */
  readonly currentItem: string | null
  /** Bytes that really left for a remote pool, apart from the bytes worked through. */
  readonly transferredBytes?: number
  readonly transferredTotal?: number | null
}

/** What everybody sees: never going backwards, never above the truth, `null` where unknown. */
export interface Progress {
  readonly phase: string
  readonly bytesDone: number
  readonly bytesTotal: number | null
  readonly itemsDone: number
  readonly itemsTotal: number | null
  readonly currentItem: string | null
  readonly transferredBytes: number
  readonly transferredTotal: number | null
  /** Whole percent. 0..99 while it runs: 100 is said by completion alone. */
  readonly percent: number | null
  /** Bytes per second over a sliding window. */
  readonly ratePerSecond: number | null
  /** `null` while a guess would be worthless. */
  readonly secondsLeft: number | null
}

export const NO_PROGRESS: Progress = {
  phase: 'waiting',
  bytesDone: 0,
  bytesTotal: null,
  itemsDone: 0,
  itemsTotal: null,
  currentItem: null,
  transferredBytes: 0,
  transferredTotal: null,
  percent: null,
  ratePerSecond: null,
  secondsLeft: null,
}

/** Whole percent of work that is still running, or `null` while the total is unknown. */
export function percentRunning(done: number, total: number | null): number | null {
  if (total === null) return null
  if (total === 0) return 0
  // Multiplied first: 0.58 * 100 is 57.99… in floating point.
  return Math.min(99, Math.floor((done * 100) / total))
}

/** A lane whose work overtook its total had a total that was too small: it grows. */
const laneTotal = (done: number, total: number | null): number | null =>
  total === null ? null : Math.max(total, done)

const highest = (left: number | null, right: number | null): number | null =>
  left === null || right === null ? (right ?? left) : Math.max(left, right)

/**
 * The next progress after a report. Nothing falls: a run that starts again
 * behind its predecessor shows the old figures until it has passed them.
 */
export function advance(
  previous: Progress,
  report: ProgressReport,
  pace: { readonly ratePerSecond: number | null; readonly secondsLeft: number | null },
): Progress {
  const bytesDone = Math.max(report.bytesDone, previous.bytesDone)
  const itemsDone = Math.max(report.itemsDone, previous.itemsDone)
  const transferredBytes = Math.max(report.transferredBytes ?? 0, previous.transferredBytes)
  const bytesTotal = laneTotal(bytesDone, report.bytesTotal ?? previous.bytesTotal)
  return {
    phase: report.phase,
    bytesDone,
    bytesTotal,
    itemsDone,
    itemsTotal: laneTotal(itemsDone, report.itemsTotal ?? previous.itemsTotal),
    currentItem: report.currentItem,
    transferredBytes,
    transferredTotal: laneTotal(
      transferredBytes,
      report.transferredTotal ?? previous.transferredTotal,
    ),
    percent: highest(previous.percent, percentRunning(bytesDone, bytesTotal)),
    ratePerSecond: pace.ratePerSecond,
    secondsLeft: pace.secondsLeft,
  }
}

/** The progress of finished work: every lane is full, and its total is what was really done. */
export function completed(progress: Progress): Progress {
  return {
    ...progress,
    phase: 'completed',
    bytesTotal: progress.bytesDone,
    itemsTotal: progress.itemsDone,
    transferredTotal: progress.transferredTotal === null ? null : progress.transferredBytes,
    currentItem: null,
    percent: 100,
    ratePerSecond: null,
    secondsLeft: 0,
  }
}

/** The progress of work that stands still: how far it came, and no pace. */
export const standing = (progress: Progress): Progress => ({
  ...progress,
  currentItem: null,
  ratePerSecond: null,
  secondsLeft: null,
})
