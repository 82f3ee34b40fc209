import { spawnSync } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import type { JsonObject } from '../../core/json.ts'
import type { Warning } from '../../core/outcome.ts'
import type { ProgressReport } from '../../core/progress.ts'
import type { Snapshot } from '../../core/snapshot.ts'
import type { Source } from '../../core/source.ts'
import { LocalPool } from '../../pools/local.ts'
import type { PoolDirectory } from '../../pools/pool.ts'
import type { EngineContext, EngineTask } from '../engine.ts'
import type { Compression, ManifestLine } from './format/manifest.ts'
import { encodeManifestLine } from './format/manifest-file.ts'
import { END_BYTES, encodeTarHeader, paddedBytes, type TarMember } from './format/tar-header.ts'

// Archives made by hand, and what an engine is given, for the tests of this folder.

export interface FixtureMember {
  readonly name: string | Buffer
  readonly type?: TarMember['type']
  readonly content?: string | Buffer
  readonly linkTarget?: string | Buffer
  readonly mode?: number
  readonly uid?: number
  readonly gid?: number
  readonly modifiedAtNs?: bigint
  readonly sparse?: boolean
}

export const ROOT: FixtureMember = { name: '.', type: 'directory' }

const bytesOf = (value: string | Buffer): Buffer =>
  typeof value === 'string' ? Buffer.from(value) : value

export function toMember(given: FixtureMember): TarMember {
  const type = given.type ?? 'file'
  return {
    name: bytesOf(given.name),
    type,
    bytes: type === 'file' ? bytesOf(given.content ?? '').length : 0,
    mode: given.mode ?? (type === 'directory' ? 0o755 : 0o644),
    uid: given.uid ?? process.getuid?.() ?? 0,
    gid: given.gid ?? process.getgid?.() ?? 0,
    modifiedAtNs: given.modifiedAtNs ?? 1_700_000_000_123_456_000n,
    linkTarget: given.linkTarget === undefined ? null : bytesOf(given.linkTarget),
    sparse: given.sparse ?? false,
    xattrs: null,
  }
}

const padded = (content: Buffer): Buffer =>
  Buffer.concat([content, Buffer.alloc(paddedBytes(content.length) - content.length)])

export interface TarFixture {
  readonly tar: Buffer
  readonly lines: readonly ManifestLine[]
}

/** A tar of these members, and the lines of its entries. */
export function makeTar(members: readonly FixtureMember[]): TarFixture {
  const parts: Buffer[] = []
  const lines: ManifestLine[] = []
  let offset = 0
  for (const given of members) {
    const member = toMember(given)
    const content = member.type === 'file' ? bytesOf(given.content ?? '') : Buffer.alloc(0)
    const header = Buffer.from(encodeTarHeader(member))
    const target = member.linkTarget
    lines.push({
      line: 'entry',
      path: member.name.toString('utf8'),
      ...(Buffer.from(member.name.toString('utf8')).equals(member.name)
        ? {}
        : { pathBytes: member.name.toString('base64') }),
      type: member.type,
      bytes: member.bytes,
      mode: member.mode,
      uid: member.uid,
      gid: member.gid,
      modifiedAtNs: String(member.modifiedAtNs),
      ...(target === null ? {} : { linkTarget: target.toString('utf8') }),
      offset: member.type === 'file' ? offset + header.length : offset,
      ...(member.sparse ? { sparse: true as const } : {}),
      ...(member.type === 'file'
        ? { sha256: createHash('sha256').update(content).digest('hex') }
        : {}),
    })
    parts.push(header, padded(content))
    offset += header.length + paddedBytes(content.length)
  }
  parts.push(Buffer.alloc(END_BYTES))
  return { tar: Buffer.concat(parts), lines }
}

/** The archive as it rests, and where its frames begin. */
export function pack(
  tar: Buffer,
  compression: Compression,
  frameBytes: number,
): { archive: Buffer; frames: readonly ManifestLine[] } {
  if (compression === 'none') return { archive: tar, frames: [] }
  const frames: ManifestLine[] = []
  const parts: Buffer[] = []
  let archiveOffset = 0
  for (let tarOffset = 0; tarOffset < tar.length; tarOffset += frameBytes) {
    const span = tar.subarray(tarOffset, tarOffset + frameBytes)
    const packed = compression === 'gzip' ? gzipSync(span) : zstdCompressSync(span)
    frames.push({ line: 'frame', tarOffset, archiveOffset })
    parts.push(packed)
    archiveOffset += packed.length
  }
  return { archive: Buffer.concat(parts), frames }
}

export const sha256Of = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

export interface Home {
  readonly root: string
  readonly pool: LocalPool
  readonly pools: PoolDirectory
  remove(): Promise<void>
}

export async function makeHome(base: string = tmpdir()): Promise<Home> {
  const root = await mkdtemp(join(base, 'holdfast-archive-'))
  const pool = new LocalPool({ id: 'local', root: join(root, 'pool') })
  return {
    root,
    pool,
    pools: { open: async () => pool },
    remove: () => rm(root, { recursive: true, force: true }),
  }
}

export interface StoreOptions {
  readonly compression?: Compression
  readonly frameBytes?: number
  readonly withManifest?: boolean
  /** Put there in place of what the record tells of. */
  readonly damagedArchive?: (archive: Buffer) => Buffer
  readonly lines?: readonly ManifestLine[]
}

/** Puts an archive with its manifest into the pool, and answers its record. */
export async function storeArchive(
  home: Home,
  fixture: TarFixture,
  options: StoreOptions = {},
): Promise<Snapshot> {
  const compression = options.compression ?? 'none'
  const { archive, frames } = pack(fixture.tar, compression, options.frameBytes ?? 64 * 1024)
  const entries = (options.lines ?? fixture.lines).filter((line) => line.line === 'entry')
  const files = entries.filter((line) => line.type !== 'directory')
  const contentBytes = files.reduce((sum, line) => sum + line.bytes, 0)
  const sha256 = sha256Of(archive)
  const manifest: readonly ManifestLine[] = [
    { line: 'start', version: 1, compression, createdAtMs: 0 },
    ...entries,
    ...frames,
    {
      line: 'end',
      entryCount: entries.length,
      fileCount: files.length,
      contentBytes,
      tarBytes: fixture.tar.length,
      archiveBytes: archive.length,
      sha256,
    },
  ]
  const packedManifest = gzipSync(manifest.map(encodeManifestLine).join(''))
  const id = randomUUID()
  const key = `archives/source/${id}-1.tar`
  const manifestKey = `${key}.manifest.jsonl.gz`
  await put(home.pool, key, options.damagedArchive?.(Buffer.from(archive)) ?? archive)
  if (options.withManifest !== false) {
    await put(home.pool, manifestKey, packedManifest)
  }
  return {
    id,
    accountId: 'admin',
    sourceId: 'source',
    operationId: id,
    poolId: 'local',
    format: 'archive',
    key,
    bytes: archive.length,
    contentBytes,
    itemCount: files.length,
    sha256,
    warningCount: 0,
    details: {
      compression,
      manifestKey,
      manifestBytes: packedManifest.length,
      tarBytes: fixture.tar.length,
      fileCount: files.length,
    },
    pinned: false,
    verifiedAtMs: null,
    verifiedWell: null,
    createdAtMs: 0,
  }
}

export async function put(pool: LocalPool, key: string, bytes: Buffer): Promise<void> {
  const name = `put-${randomUUID()}`
  await writeFile(await pool.stage(name), bytes)
  await pool.remove(key)
  await pool.publish(name, key)
}

export const makeSource = (path: string): Source => ({
  id: 'source',
  accountId: 'admin',
  kind: 'directory',
  name: 'source',
  deviceId: null,
  config: { path },
  createdAtMs: 0,
})

export const makeTask = (
  kind: 'restore' | 'verify',
  snapshot: Snapshot,
  input: JsonObject,
  extra: Partial<EngineTask> = {},
): EngineTask => ({
  operationId: 'operation',
  accountId: 'admin',
  kind,
  input: { snapshotId: snapshot.id, ...input },
  source: null,
  snapshot,
  poolId: snapshot.poolId,
  attempt: 1,
  ...extra,
})

/** Why a test that mounts something cannot run here; `false` where it can. */
export function mountsSkip(): string | false {
  if (process.getuid?.() !== 0) return 'skipped: mounting needs root'
  const tried = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', tmpdir()])
  return tried.status === 0 ? false : 'skipped: nothing can be mounted here'
}

/** What an engine said and saved in one run. */
export class RecordingContext implements EngineContext {
  readonly #stop = new AbortController()
  readonly reports: ProgressReport[] = []
  readonly warnings: Warning[] = []
  readonly checkpoint: JsonObject | null
  readonly predecessorEnded: boolean
  saved: JsonObject | null = null
  notRedone: number | null = null
  onReport: (report: ProgressReport) => void = () => undefined
  onSave: (checkpoint: JsonObject) => void = () => undefined

  constructor(checkpoint: JsonObject | null = null, predecessorEnded = true) {
    this.checkpoint = checkpoint
    this.predecessorEnded = predecessorEnded
  }

  get signal(): AbortSignal {
    return this.#stop.signal
  }

  stop(reason: Error): void {
    this.#stop.abort(reason)
  }

  report(report: ProgressReport): void {
    this.reports.push(report)
    this.onReport(report)
  }

  warn(warning: Warning): void {
    this.warnings.push(warning)
  }

  async saveCheckpoint(checkpoint: JsonObject): Promise<void> {
    // What the records give back has been JSON.
    this.saved = JSON.parse(JSON.stringify(checkpoint))
    this.onSave(checkpoint)
  }

  resumedFrom(bytes: number): void {
    this.notRedone = bytes
  }

  async assertCurrent(): Promise<void> {
    // The run of a test is never taken over unless the test says so.
  }
}

/** Exact, or as a tool sees it that does not know where Holdfast puts the nanoseconds. */
export type SeenTime = 'exact' | 'whole seconds'

/** All that can be seen of a tree, in order of names. */
export function look(root: string, seenTime: SeenTime = 'exact'): readonly string[] {
  const seen: string[] = []
  const walk = (path: Buffer, name: string) => {
    const stats = lstatSync(path, { bigint: true })
    // Times go through a double on their way to the file system, which keeps a quarter of a microsecond.
    const whole = stats.mtimeNs / 1_000_000_000n
    const rest = seenTime === 'exact' ? stats.mtimeNs - whole * 1_000_000_000n : 0n
    const time = Number(whole) + Number(rest) / 1e9
    const mode = stats.isSymbolicLink() ? 'link' : (stats.mode & 0o7777n).toString(8)
    const content = stats.isSymbolicLink()
      ? readlinkSync(path, 'latin1')
      : stats.isFile()
        ? createHash('sha256').update(readFileSync(path)).digest('hex')
        : ''
    seen.push([name, mode, stats.nlink > 1n && stats.isFile(), time, content].join(' '))
    if (!stats.isDirectory()) return
    const names = readdirSync(path, { encoding: 'buffer' }).sort(Buffer.compare)
    for (const child of names) {
      walk(Buffer.concat([path, Buffer.from('/'), child]), `${name}/${child.toString('latin1')}`)
    }
  }
  walk(Buffer.from(root), '.')
  return seen
}
