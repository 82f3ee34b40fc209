import type { OperationWire, SnapshotWire } from '@holdfast/sdk'
import type { Context } from './command.ts'
import { type ExitCode, exitCodeOfOperation } from './exit-codes.ts'
import { formatBytes, formatCount, formatSeconds, printable } from './format.ts'
import type { Session } from './session.ts'
import type { Terminal } from './terminal.ts'

const WARNINGS_SHOWN_MAX = 10

/** Says how an operation went, and answers the exit code that says the same. */
export async function sayEnd(
  { terminal }: Context,
  session: Session,
  operation: OperationWire,
): Promise<ExitCode> {
  const exitCode = exitCodeOfOperation(operation)
  const snapshot = await snapshotOf(session, operation)
  if (terminal.json) {
    terminal.object({ type: 'result', exitCode, operation, snapshot })
    return exitCode
  }
  terminal.line(headline(terminal, operation))
  if (operation.error !== null) terminal.line(printable(operation.error.message))
  for (const line of describeResult(operation, snapshot)) terminal.line(line)
  if (operation.outcome === 'warning') await sayWarnings(terminal, session, operation)
  return exitCode
}

function headline(terminal: Terminal, operation: OperationWire): string {
  const { kind, status, outcome, startedAt, finishedAt, resumedCount, bytesNotRedone } = operation
  const took =
    startedAt === null || finishedAt === null
      ? ''
      : ` after ${formatSeconds((Date.parse(finishedAt) - Date.parse(startedAt)) / 1000)}`
  const again =
    resumedCount === 0
      ? ''
      : `, resumed ${resumedCount} ${resumedCount === 1 ? 'time' : 'times'}, ${formatBytes(bytesNotRedone)} not done again`
  if (status !== 'completed') return `${terminal.style('red', `${kind} ${status}`)}${took}${again}`
  return outcome === 'warning'
    ? `${terminal.style('yellow', `${kind} completed with warnings`)}${took}${again}`
    : `${terminal.style('green', `${kind} completed`)}${took}${again}`
}

const files = (count: unknown): string =>
  `${formatCount(Number(count))} ${count === 1 ? 'file' : 'files'}`

/** What came of it, as far as this kind of operation says so. */
export function describeResult(operation: OperationWire, snapshot: SnapshotWire | null): string[] {
  const { kind, result } = operation
  if (kind === 'backup' && snapshot !== null) {
    const { id, contentBytes, itemCount, bytes } = snapshot
    return [
      `snapshot ${id}: ${formatBytes(contentBytes)} in ${files(itemCount)}, kept as ${formatBytes(bytes)}`,
    ]
  }
  if (kind === 'restore' && typeof result?.['target'] === 'string') {
    const { target, files: count, bytes } = result as Record<'target' | 'files' | 'bytes', unknown>
    return [`${formatBytes(Number(bytes))} in ${files(count)} to ${printable(String(target))}`]
  }
  if (kind === 'verify' && typeof result?.['checkedFiles'] === 'number') {
    const { checkedFiles, checkedBytes, damageCount } = result
    if (typeof result['target'] === 'string') return describeCompared(result)
    const found =
      damageCount === 0 ? 'all as they were' : `${formatCount(Number(damageCount))} damaged`
    return [`${formatBytes(Number(checkedBytes))} in ${files(checkedFiles)} read again: ${found}`]
  }
  return []
}

/** Of a folder that was compared with a snapshot. */
function describeCompared(result: NonNullable<OperationWire['result']>): string[] {
  const { target, checkedFiles, checkedBytes, damageCount, extraCount } = result
  const folder = printable(String(target))
  const differences = Number(damageCount)
  const found =
    differences === 0
      ? `every byte of ${folder} is what was backed up`
      : `${formatCount(differences)} ${differences === 1 ? 'difference' : 'differences'} in ${folder}`
  const extra = Number(extraCount)
  return [
    `${formatBytes(Number(checkedBytes))} in ${files(checkedFiles)} compared: ${found}`,
    ...(extra > 0 ? [`not in the snapshot: ${formatCount(extra)} more, see --json`] : []),
  ]
}

/** The snapshot of a backup that has just ended; it is not worth failing over. */
async function snapshotOf(
  session: Session,
  operation: OperationWire,
): Promise<SnapshotWire | null> {
  if (operation.status !== 'completed' || operation.kind !== 'backup') return null
  const id = operation.snapshotId ?? operation.result?.['snapshotId']
  try {
    if (typeof id === 'string') return await session.snapshot(id)
    if (operation.sourceId === null) return null
    const latest = await session.snapshots({ sourceId: operation.sourceId, limit: 5 })
    return latest.find((snapshot) => snapshot.operationId === operation.id) ?? null
  } catch {
    return null // removed, or out of reach by now
  }
}

async function sayWarnings(
  terminal: Terminal,
  session: Session,
  operation: OperationWire,
): Promise<void> {
  const warnings = await session.warnings(operation.id, WARNINGS_SHOWN_MAX + 1)
  for (const { code, message, item } of warnings.slice(0, WARNINGS_SHOWN_MAX)) {
    terminal.line(`${code}: ${printable(message)}${item === null ? '' : ` (${printable(item)})`}`)
  }
  if (warnings.length > WARNINGS_SHOWN_MAX) {
    terminal.line(`and more: holdfast operations ${operation.id}`)
  }
}
