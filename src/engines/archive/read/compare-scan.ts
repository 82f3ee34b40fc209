import { createReadStream } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { AppError } from '../../../core/errors.ts'
import type { KnownFolder } from '../../../platform/folder-identity.ts'
import { parseIgnore } from '../create/ignore.ts'
import { Walk, type WalkEntry, type WalkResume } from '../create/walk.ts'
import type { ManifestEntry } from '../format/manifest.ts'
import { parseManifestLine, readManifestTexts } from '../format/manifest-file.ts'
import { keyOf } from '../format/manifest-match.ts'
import { parentKey } from '../format/member-path.ts'
import { EntryCheck, isTimeOnly, type LinkMemory } from './compare-entry.ts'
import { Selection } from './selection.ts'
import { type SharedProgress, WorkStopped } from './shared-progress.ts'
import type { Damage } from './verify-scan.ts'

/** What the thread that compares a folder with a manifest is told. */
export interface CompareJob {
  readonly kind: 'compare'
  readonly manifestPath: string
  readonly root: KnownFolder
  /** `<device>:<inode>` of folders that are not entered. */
  readonly never: readonly string[]
  /** What is compared of the snapshot; `null` is everything. */
  readonly patterns: readonly string[] | null
  readonly from: CompareState
  /** It answers after about this long, at the end of an entry, so that its state can be saved. */
  readonly sliceMs: number
}

/** What is in the folder and not in the snapshot. Of a folder that is, nothing below it is named. */
export interface Extra {
  readonly path: string
  readonly type: 'file' | 'directory' | 'symlink' | 'other'
}

/** Plain JSON: how far a comparison came, and what it found. */
export interface CompareState {
  readonly isFinished: boolean
  /** Entries of the manifest, and entries of the folder, that were judged. */
  readonly entriesDone: number
  readonly walked: WalkResume | null
  readonly checkedFiles: number
  readonly checkedBytes: number
  /** All but directories. */
  readonly itemsDone: number
  readonly damageCount: number
  readonly damages: readonly Damage[]
  readonly extraCount: number
  readonly extras: readonly Extra[]
  /** Directories (latin1) whose content is not judged: they cannot be listed, or are extra themselves. */
  readonly unlisted: string | null
  readonly extraRoot: string | null
  readonly links: LinkMemory
}

export const COMPARE_BEGIN: CompareState = {
  isFinished: false,
  entriesDone: 0,
  walked: null,
  checkedFiles: 0,
  checkedBytes: 0,
  itemsDone: 0,
  damageCount: 0,
  damages: [],
  extraCount: 0,
  extras: [],
  unlisted: null,
  extraRoot: null,
  links: { found: [], left: [] },
}

/** Kept word for word; what comes after them is only counted. */
export const DIFFERENCES_KEPT_MAX = 1000
export const EXTRAS_KEPT_MAX = 200

const ENTRY_START = '{"line":"entry"'

/** Both sides come in this order: a directory before its content, names by their bytes. */
const orderOf = (key: string): string => (key === '.' ? '' : key.replaceAll('/', '\0'))

const isBelow = (key: string, directory: string | null): boolean =>
  directory !== null && (directory === '' || key.startsWith(`${directory}/`))

const EXTRA_TYPES = {
  file: 'file',
  directory: 'directory',
  symlink: 'symlink',
  special: 'other',
} as const

/** One entry of the manifest, with its name as one character a byte. */
interface Line {
  readonly entry: ManifestEntry
  readonly key: string
  readonly order: string
}

/**
 * Goes through a folder and a manifest side by side. Nothing is written, no
 * link is followed, and nothing is opened but what the walk finds below the
 * root: what the manifest says is never a path for a file call.
 */
export async function compareFolder(
  job: CompareJob,
  progress: SharedProgress,
): Promise<CompareState> {
  const scan = new Scan(job, progress)
  const lines = linesFrom(job.manifestPath, job.from.entriesDone)
  const endAtMs = performance.now() + job.sliceMs
  try {
    let line = await nextLine(lines)
    while (line !== null || scan.hasMore()) {
      progress.throwIfStopped()
      if (scan.step(line)) line = await nextLine(lines)
      const isMore = line !== null || scan.hasMore()
      if (isMore && performance.now() > endAtMs) return scan.state(false)
    }
    return scan.state(true)
  } catch (error) {
    // What was judged stays judged: only the entry in hand is looked at again.
    if (error instanceof WorkStopped) return scan.state(false)
    throw error
  } finally {
    scan.close()
    await lines.return(undefined)
  }
}

async function nextLine(lines: AsyncGenerator<Line, void>): Promise<Line | null> {
  const { value } = await lines.next()
  return value ?? null
}

async function* linesFrom(manifestPath: string, skip: number): AsyncGenerator<Line, void> {
  let index = 0
  let before = ''
  for await (const texts of readManifestTexts(createReadStream(manifestPath))) {
    for (const text of texts) {
      if (!text.startsWith(ENTRY_START)) continue
      index += 1
      if (index <= skip) continue
      const entry = parseManifestLine(text)
      if (entry.line !== 'entry') continue
      const key = keyOf(entry.path, entry.pathBytes)
      const order = orderOf(key)
      if (index > skip + 1 && order <= before) throw outOfOrder(entry.path)
      before = order
      yield { entry, key, order }
    }
  }
}

const outOfOrder = (path: string): AppError =>
  new AppError('damaged', `the manifest is damaged: ${path} is not where it belongs`, {
    entry: path,
  })

class Scan {
  readonly #progress: SharedProgress
  readonly #walk: Walk
  readonly #check: EntryCheck
  readonly #selection: Selection | null
  readonly #damages: Damage[]
  readonly #extras: Extra[]
  /** Damages that are told of the time alone, by key. */
  readonly #timeOnly = new Map<string, Damage>()
  /** By path: why a directory, or what is in it, cannot be judged. */
  readonly #blind = new Map<string, string>()
  #next: WalkEntry | null
  #walked: WalkResume | null
  #entriesDone: number
  #checkedFiles: number
  #itemsDone: number
  #damageCount: number
  #extraCount: number
  #unlisted: string | null
  #extraRoot: string | null

  constructor(job: CompareJob, progress: SharedProgress) {
    const { from, patterns, root, never } = job
    this.#progress = progress
    this.#selection = patterns === null ? null : new Selection(patterns)
    this.#damages = [...from.damages]
    for (const damage of this.#damages) this.#remember(damage)
    this.#extras = [...from.extras]
    this.#walked = from.walked
    this.#entriesDone = from.entriesDone
    this.#checkedFiles = from.checkedFiles
    this.#itemsDone = from.itemsDone
    this.#damageCount = from.damageCount
    this.#extraCount = from.extraCount
    this.#unlisted = from.unlisted
    this.#extraRoot = from.extraRoot
    this.#check = new EntryCheck(from.links, from.checkedBytes, progress)
    this.#walk = new Walk({
      root: root.path,
      rootId: root.id,
      ignore: parseIgnore(''),
      resume: from.walked,
      never: new Set(never),
      onTrouble: ({ code, path, errno }) => {
        if (code === 'unreadable') this.#blind.set(path, `cannot be listed (${errno})`)
        if (code === 'skipped_own_data') this.#blind.set(path, 'is a folder of Holdfast itself')
      },
    })
    this.#next = this.#walk.next()
    progress.set('bytesDone', from.checkedBytes)
    progress.set('itemsDone', from.itemsDone)
  }

  hasMore(): boolean {
    return this.#next !== null
  }

  close(): void {
    this.#walk.close()
  }

  state(isFinished: boolean): CompareState {
    return {
      isFinished,
      entriesDone: this.#entriesDone,
      walked: this.#walked,
      checkedFiles: this.#checkedFiles,
      checkedBytes: this.#check.bytes,
      itemsDone: this.#itemsDone,
      damageCount: this.#damageCount,
      damages: this.#damages,
      extraCount: this.#extraCount,
      extras: this.#extras,
      unlisted: this.#unlisted,
      extraRoot: this.#extraRoot,
      links: this.#check.links(),
    }
  }

  /** Judges what comes first of both sides. Answers whether the line is done with. */
  step(line: Line | null): boolean {
    const found = this.#next
    const order = found === null ? null : orderOf(found.path)
    if (found !== null && (line === null || (order ?? '') < line.order)) {
      this.#takeExtra(found, line)
      this.#advance(found)
      return false
    }
    if (line === null) return false
    const isThere = found !== null && order === line.order
    if (this.#isWanted(line)) this.#judge(line, isThere ? found : null)
    else if (line.entry.type === 'file') this.#check.leave(line.entry, line.key)
    this.#entriesDone += 1
    if (isThere) this.#advance(found)
    return true
  }

  #isWanted({ entry }: Line): boolean {
    return this.#selection === null || this.#selection.has(entry.path)
  }

  #advance(found: WalkEntry): void {
    const { path, kind } = found
    this.#walked = { path, include: false, descend: kind === 'directory' }
    this.#next = this.#walk.next()
  }

  #judge(line: Line, found: WalkEntry | null): void {
    const { entry, key } = line
    const path = key === '.' ? '' : key
    if (!isBelow(path, this.#unlisted)) {
      if (entry.type !== 'directory') this.#progress.item = entry.path
      const problem = this.#problemOf(line, path, found)
      if (problem !== null) this.#addDamage(entry, problem)
      if (entry.type === 'file' && found?.kind === 'file') this.#checkedFiles += 1
    }
    if (entry.type === 'directory') return
    this.#itemsDone += 1
    this.#progress.set('itemsDone', this.#itemsDone)
  }

  #problemOf({ entry, key }: Line, path: string, found: WalkEntry | null): string | null {
    const blind = this.#blind.get(path)
    if (blind !== undefined && (found === null || entry.type === 'directory')) {
      this.#unlisted = path
      return `${blind}: nothing in it was compared`
    }
    return found === null ? 'is missing' : this.#check.problem(entry, key, found)
  }

  #addDamage({ path, pathBytes }: ManifestEntry, what: string): void {
    this.#damageCount += 1
    if (this.#damages.length >= DIFFERENCES_KEPT_MAX) return
    const damage = { path, what, ...(pathBytes === undefined ? {} : { pathBytes }) }
    this.#damages.push(damage)
    this.#remember(damage)
  }

  #remember(damage: Damage): void {
    const { path, pathBytes, what } = damage
    if (isTimeOnly(what)) this.#timeOnly.set(keyOf(path ?? '', pathBytes), damage)
  }

  /** What is extra has changed the time of its directory, and is judged apart: so is that. */
  #forgiveTime(path: string): void {
    const parent = parentKey(path)
    const damage = this.#timeOnly.get(parent)
    if (damage === undefined) return
    this.#timeOnly.delete(parent)
    this.#damages.splice(this.#damages.indexOf(damage), 1)
    this.#damageCount -= 1
  }

  #takeExtra({ path, kind }: WalkEntry, line: Line | null): void {
    // A directory that vanished while it was backed up has no entry, and what was in it has.
    const isImplied = line !== null && isBelow(line.key, path)
    if (path === '' || isImplied || isBelow(path, this.#extraRoot)) return
    this.#extraRoot = kind === 'directory' ? path : null
    this.#forgiveTime(path)
    this.#extraCount += 1
    if (this.#extras.length >= EXTRAS_KEPT_MAX) return
    const text = Buffer.from(path, 'latin1').toString('utf8')
    this.#extras.push({ path: text, type: EXTRA_TYPES[kind] })
  }
}
