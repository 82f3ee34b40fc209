import type { Pool } from '../../../pools/pool.ts'
import type { EngineContext, EngineResult } from '../../engine.ts'
import type { Compression } from '../format/manifest.ts'
import { type PublishingCheckpoint, toCheckpointJson } from './backup-checkpoint.ts'
import { stagedNames } from './backup-plan.ts'

/** Whether an earlier run came as far as to make both objects. */
export async function isPublished(pool: Pool, { keys }: PublishingCheckpoint): Promise<boolean> {
  return (await pool.stat(keys.manifest)) !== null && (await pool.stat(keys.archive)) !== null
}

/**
 * Makes the staged files objects: the manifest first, so that an archive that
 * can be seen always has one. May be called again after a crash in the middle.
 */
export async function publishArchive(
  pool: Pool,
  publishing: PublishingCheckpoint,
  context: EngineContext,
): Promise<void> {
  const { keys, made } = publishing
  const names = stagedNames(publishing.stem)
  const total = made.manifestBytes + made.archiveBytes
  let transferred = 0
  const report = (bytes: number): void => reportPublishing(context, publishing, bytes, total)
  report(0)
  await context.saveCheckpoint(toCheckpointJson(publishing))
  for (const part of ['manifest', 'archive'] as const) {
    const before = transferred
    const bytes = part === 'manifest' ? made.manifestBytes : made.archiveBytes
    context.signal.throwIfAborted()
    await context.assertCurrent()
    if ((await pool.stat(keys[part])) === null) {
      await pool.publish(names[part], keys[part], {
        signal: context.signal,
        onTransfer: (done) => report(before + Math.min(done, bytes)),
      })
    } else await pool.discard(names[part])
    transferred += bytes
  }
}

function reportPublishing(
  context: EngineContext,
  { made, itemsDone, size }: PublishingCheckpoint,
  transferred: number,
  total: number,
): void {
  const remote = transferred > 0 ? { transferredBytes: transferred, transferredTotal: total } : {}
  context.report({
    phase: 'publishing',
    bytesDone: made.contentBytes,
    bytesTotal: Math.max(made.contentBytes, size.contentBytes),
    itemsDone,
    itemsTotal: Math.max(itemsDone, size.itemCount),
    currentItem: null,
    ...remote,
  })
}

export function toResult(
  poolId: string,
  compression: Compression,
  { keys, made, xattrs }: PublishingCheckpoint,
): EngineResult {
  const { contentBytes, fileCount, entryCount, tarBytes, archiveBytes, sha256, sha1 } = made
  return {
    result: {
      archiveBytes,
      contentBytes,
      fileCount,
      entryCount,
      compression,
      sha256,
      // No warning: on a machine without the tool everybody would have it, and few have anything to lose.
      xattrs,
      ...(sha1 === undefined ? {} : { sha1 }),
    },
    snapshot: {
      poolId,
      format: 'archive',
      key: keys.archive,
      bytes: archiveBytes,
      contentBytes,
      itemCount: fileCount,
      sha256,
      details: {
        compression,
        manifestKey: keys.manifest,
        manifestBytes: made.manifestBytes,
        tarBytes,
        fileCount,
      },
    },
  }
}
