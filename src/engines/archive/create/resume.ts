import { createReadStream } from 'node:fs'
import { constants, copyFile, lstat, open, truncate } from 'node:fs/promises'
import { isMissing } from '../../../platform/files.ts'
import { parseManifestLine, readManifestTexts } from '../format/manifest-file.ts'
import { keyOf } from '../format/manifest-match.ts'
import type { ArchivingCheckpoint } from './backup-checkpoint.ts'
import { isSameFile, type OpenFile } from './position.ts'
import { toOsPath, type WalkResume } from './walk.ts'

export interface StagedPaths {
  readonly archive: string
  readonly manifest: string
}

type Offsets = { readonly tarOffset: number; readonly archiveOffset: number }

/** Where the stages go on. Offsets are those of what is kept. */
export interface Resume {
  readonly tarBytes: number
  readonly archiveBytes: number
  readonly manifestBytes: number
  readonly bytesDone: number
  readonly itemsDone: number
  readonly walk: WalkResume | null
  /** The file in the middle of which it goes on. */
  readonly open: OpenFile | null
  readonly openFrames: readonly Offsets[]
  readonly links: readonly (readonly [string, string])[]
  readonly checkpoint: ArchivingCheckpoint
}

/** Copies what a run has staged that may still be at work; answers `false` where it is gone. */
export async function copyStaged(
  from: StagedPaths,
  to: StagedPaths,
  { archive, manifest }: ArchivingCheckpoint,
): Promise<boolean> {
  try {
    await copyFile(from.manifest, to.manifest, constants.COPYFILE_FICLONE)
    await truncate(to.manifest, manifest.manifestBytes)
    await copyFile(from.archive, to.archive, constants.COPYFILE_FICLONE)
    await truncate(to.archive, archive.archiveBytes)
    return true
  } catch (error) {
    if (isMissing(error)) return false
    throw error
  }
}

async function isAtLeast(path: string, bytes: number): Promise<boolean> {
  try {
    return (await lstat(path)).size >= bytes
  } catch (error) {
    if (isMissing(error)) return false
    throw error
  }
}

/** A file that is as it was is gone on with; one that is not is cut back to its header. */
async function isUnchanged(file: OpenFile, root: string): Promise<boolean> {
  try {
    const osPath = toOsPath(`${root}/${file.path}`)
    const handle = await open(
      osPath,
      constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
    )
    try {
      return isSameFile(file, await handle.stat({ bigint: true }))
    } finally {
      await handle.close()
    }
  } catch {
    return false // whatever is wrong with it, the walk meets it again and says so
  }
}

/** `root` is latin1. Answers `null` where what is staged is not what the checkpoint says. */
export async function planResume(
  checkpoint: ArchivingCheckpoint,
  paths: StagedPaths,
  root: string,
): Promise<Resume | null> {
  const { position, archive, manifest } = checkpoint
  const there =
    (await isAtLeast(paths.archive, archive.archiveBytes)) &&
    (await isAtLeast(paths.manifest, manifest.manifestBytes))
  if (!there) return null
  const found = await readStagedManifest(paths.manifest, checkpoint)
  if (found === null) return null
  const { open: file, last } = position
  if (file === null || (await isUnchanged(file, root))) {
    return {
      tarBytes: position.tarBytes,
      archiveBytes: archive.archiveBytes,
      manifestBytes: manifest.manifestBytes,
      bytesDone: position.bytesDone,
      itemsDone: position.itemsDone,
      walk: file === null ? last : { path: file.path, include: false, descend: false },
      open: file,
      openFrames: found.frames,
      links: found.links,
      checkpoint,
    }
  }
  return {
    tarBytes: file.markOffset,
    archiveBytes: archive.markArchiveBytes,
    manifestBytes: manifest.markManifestBytes,
    bytesDone: position.bytesDone - file.done,
    itemsDone: position.itemsDone,
    walk: { path: file.path, include: true, descend: false },
    open: null,
    openFrames: [],
    links: found.links,
    checkpoint,
  }
}

/** What of the staged manifest the next run needs: hard links, and the frames of the open file. */
async function readStagedManifest(
  path: string,
  { manifest, position }: ArchivingCheckpoint,
): Promise<{ links: (readonly [string, string])[]; frames: Offsets[] } | null> {
  const links: (readonly [string, string])[] = []
  const frames: Offsets[] = []
  let entryCount = 0
  try {
    const source = createReadStream(path, { end: manifest.manifestBytes - 1 })
    for await (const texts of readManifestTexts(source)) {
      for (const text of texts) {
        const isFrame = text.startsWith('{"line":"frame"')
        if (text.startsWith('{"line":"entry"')) entryCount += 1
        if (!isFrame && !text.includes('"links":"')) continue
        const line = parseManifestLine(text)
        if (line.line === 'entry' && line.links !== undefined) {
          links.push([line.links, keyOf(line.path, line.pathBytes)])
        }
        if (line.line !== 'frame' || position.open === null) continue
        if (line.tarOffset >= position.open.markOffset) {
          frames.push({ tarOffset: line.tarOffset, archiveOffset: line.archiveOffset })
        }
      }
    }
  } catch {
    return null // damaged: it is made anew
  }
  return entryCount === manifest.entryCount ? { links, frames } : null
}
