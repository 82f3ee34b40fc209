import { lstatSync } from 'node:fs'
import { BLOCK_BYTES, END_BYTES, paddedBytes } from '../format/tar-header.ts'
import { parseIgnore } from './ignore.ts'
import { Ring, type RingMemory } from './ring.ts'
import { Walk } from './walk.ts'

export interface ScanStageInput {
  readonly ring: RingMemory
  /** Absolute, latin1. */
  readonly root: string
  readonly rootId: string
  readonly ignore: string
  readonly never: readonly string[]
}

export interface TreeSize {
  /** Of all files, each content once. */
  readonly contentBytes: number
  /** All but directories. */
  readonly itemCount: number
  /** What a tar of it takes, near enough to see whether there is room. */
  readonly tarBytes: number
}

/** A header, and the records for a time that is no whole second. */
const HEADER_BYTES = 3 * BLOCK_BYTES
const ITEMS_PER_LOOK = 256

/** Sizes a tree: what the archive will go through, the ignore rules honoured. */
export function scanTree(input: ScanStageInput): TreeSize {
  const ring = new Ring(input.ring)
  const linked = new Set<string>()
  let contentBytes = 0
  let itemCount = 0
  let tarBytes = END_BYTES
  const walk = new Walk({
    root: input.root,
    rootId: input.rootId,
    ignore: parseIgnore(input.ignore, () => ring.throwIfAborted()),
    resume: null,
    never: new Set(input.never),
    // What cannot be read is said by the pass that reads.
    onTrouble: () => undefined,
  })
  try {
    for (let entry = walk.next(); entry !== null; entry = walk.next()) {
      if (entry.kind === 'special') continue
      tarBytes += HEADER_BYTES
      if (entry.kind === 'directory') continue
      itemCount += 1
      if (itemCount % ITEMS_PER_LOOK === 0) {
        ring.setDone(contentBytes, itemCount)
        ring.throwIfAborted()
      }
      if (entry.kind === 'symlink') continue
      const found = lstatSync(entry.osPath, { bigint: true, throwIfNoEntry: false })
      if (found === undefined || !found.isFile()) continue
      if (found.nlink > 1n) {
        const key = `${found.dev}:${found.ino}`
        if (linked.has(key)) continue
        linked.add(key)
      }
      contentBytes += Number(found.size)
      tarBytes += paddedBytes(Number(found.size))
    }
  } finally {
    walk.close()
  }
  return { contentBytes, itemCount, tarBytes }
}
