import { closeSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { systemCodeOf } from '../../../platform/files.ts'
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

/** It was there when the target was prepared: what is none any more was replaced, too. */
function open(known: KnownFolder): number {
  try {
    return openKnownFolder(known)
  } catch (error) {
    const isReplaced = ['ENOTDIR', 'ELOOP', 'ENOENT'].includes(systemCodeOf(error) ?? '')
    throw isReplaced ? new FolderReplaced() : error
  }
}
