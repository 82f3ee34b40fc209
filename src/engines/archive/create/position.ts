import type { BigIntStats } from 'node:fs'
import type { WalkResume } from './walk.ts'

/** A big file that was being read: enough to know it again, and to finish or cut its member. */
export interface OpenFile {
  /** Relative to the root, latin1. */
  readonly path: string
  readonly device: string
  readonly inode: string
  readonly bytes: number
  readonly modifiedAtNs: string
  readonly changedAtNs: string
  /** Bytes of its content that stand in the archive. */
  readonly done: number
  /** Where its content begins in the tar, and where its header does. */
  readonly contentOffset: number
  readonly markOffset: number
  /** Its manifest line, without its end. */
  readonly line: string
}

/** How far the reader came, at a checkpoint. */
export interface ReadPosition {
  readonly tarBytes: number
  readonly bytesDone: number
  readonly itemsDone: number
  readonly last: WalkResume | null
  readonly open: OpenFile | null
}

export const identityOf = (
  found: BigIntStats,
): Pick<OpenFile, 'device' | 'inode' | 'bytes' | 'modifiedAtNs' | 'changedAtNs'> => ({
  device: String(found.dev),
  inode: String(found.ino),
  bytes: Number(found.size),
  modifiedAtNs: String(found.mtimeNs),
  changedAtNs: String(found.ctimeNs),
})

export function isSameFile(open: OpenFile, found: BigIntStats): boolean {
  const now = identityOf(found)
  return (
    found.isFile() &&
    now.device === open.device &&
    now.inode === open.inode &&
    now.bytes === open.bytes &&
    now.modifiedAtNs === open.modifiedAtNs &&
    now.changedAtNs === open.changedAtNs
  )
}
