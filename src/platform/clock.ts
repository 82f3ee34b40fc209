/** The two clocks: one tells what time it is and may be set back, the other only how much has passed. */
export interface Clock {
  /** Milliseconds since 1970 UTC, for records. Never for measuring. */
  nowMs(): number
  /** Milliseconds that only rise, for intervals, rates and time-outs. */
  monotonicMs(): number
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
}
