/** Limits that hold everywhere, named in one place. Those of one room stand in that room. */

/** A worker process writes its beat this often. */
export const WORKER_BEAT_INTERVAL_MS = 2_000
/** A worker whose beat stood still for this long, by the watcher's own clock, has vanished. */
export const WORKER_VANISHED_AFTER_MS = 7_000
/** Progress of one operation is stored at most this often. */
export const PROGRESS_STORE_INTERVAL_MS = 500
/** An engine that was told to stop has this long to reach a checkpoint. */
export const ENGINE_STOP_MS = 10_000

export const PAGE_DEFAULT = 50
export const PAGE_MAX = 500
export const LONG_POLL_SECONDS_MAX = 60
export const JSON_BODY_BYTES_MAX = 1024 * 1024
