import { closeSync, fstatSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { geteuid } from 'node:process'
import { isMissing } from '../../../platform/files.ts'
import {
  FolderReplaced,
  idsOfFolders,
  idsUpwards,
  type KnownFolder,
  knowFolder,
  openKnownFolder,
  pathOfOpened,
} from '../../../platform/folder-identity.ts'
import type { Swap } from './swap.ts'

/**
 * Does `work` in the folder in which a swap renames, held open: it is proven to
 * stand where the target was prepared, outside of everything that is forbidden,
 * and whatever becomes of its path then, the renames stay in it. Throws
 * `FolderReplaced` where a folder on the way became a link, or was moved.
 */
export function inSwapFolder<T>(
  swap: Swap,
  forbiddenRoots: readonly string[],
  work: (swap: Swap) => T,
): T {
  const known = knowFolder(swap.children ? swap.target : dirname(swap.target))
  const descriptor = open(known)
  try {
    const path = pathOfOpened(descriptor, known)
    const forbidden = new Set(idsOfFolders(forbiddenRoots))
    if (idsUpwards(path).some((id) => forbidden.has(id))) throw new FolderReplaced()
    const target = swap.children ? path : `${path}/${basename(swap.target)}`
    return work({ ...swap, target, work: `${path}/${basename(swap.work)}` })
  } finally {
    closeSync(descriptor)
  }
}

/** It was there when the target was prepared: what is gone was moved away. */
function open(known: KnownFolder): number {
  try {
    return openKnownFolder(known)
  } catch (error) {
    throw isMissing(error) ? new FolderReplaced() : error
  }
}

/** A folder of our own in one that may be somebody else's. */
export interface PrivateFolder {
  /** Where file calls of this process, and a command that is started in it, find it. */
  readonly path: string
  close(): void
}

/**
 * Opens a folder that this process has made for itself, and proves that it is
 * that one: whoever owns the folder above it can put another in its place, but
 * not one that is ours and that only we may enter. Throws `FolderReplaced`.
 */
export function openPrivateFolder(folder: string): PrivateFolder {
  const known = knowFolder(folder)
  const descriptor = open(known)
  const { uid, mode } = fstatSync(descriptor)
  if (uid !== (geteuid?.() ?? uid) || (mode & 0o077) !== 0) {
    closeSync(descriptor)
    throw new FolderReplaced()
  }
  return { path: pathOfOpened(descriptor, known), close: () => closeSync(descriptor) }
}
