import { isFinal } from './operations.ts'
import type { OperationWire, ProgressWire } from './wire/control.ts'

/**
 * What is known of an operation after one more word of it. News come by several
 * ways, and one that was overtaken on its way never takes an operation back.
 */
export function mergeOperation(known: OperationWire, operation: OperationWire): OperationWire {
  if (isFinal(known.status)) return known
  if (isFinal(operation.status)) return operation
  const later = Date.parse(operation.updatedAt) >= Date.parse(known.updatedAt) ? operation : known
  return { ...later, progress: furtherProgress(known.progress, operation.progress) }
}

/** Progress never falls: what says less is older. */
export function furtherProgress(known: ProgressWire, progress: ProgressWire): ProgressWire {
  const back = progress.bytesDone < known.bytesDone || progress.itemsDone < known.itemsDone
  return back ? known : progress
}
