/**
 * The manifest of an archive: JSON lines, gzipped, an object of its own beside
 * the archive (`<key of the archive>.manifest.jsonl.gz`). A `start` line, then
 * one line an entry in the order of the tar with `frame` lines between them
 * (in their own order, but anywhere: a file's hash is known when its frames are past),
 * and an `end` line: a manifest without one was cut.
 */
export const MANIFEST_VERSION = 1

export const COMPRESSIONS = ['none', 'gzip', 'zstd'] as const

export type Compression = (typeof COMPRESSIONS)[number]

export interface ManifestStart {
  readonly line: 'start'
  readonly version: typeof MANIFEST_VERSION
  readonly compression: Compression
  readonly createdAtMs: number
}

export interface ManifestEntry {
  readonly line: 'entry'
  /** Relative to the root, with `/`; the root itself is `.`. */
  readonly path: string
  /** The bytes of the name in base64, where they are no UTF-8. */
  readonly pathBytes?: string
  readonly type: 'file' | 'directory' | 'symlink' | 'hardlink'
  /** Of the content: 0 but for files. */
  readonly bytes: number
  /** Permission bits only (`& 0o7777`). */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Nanoseconds since 1970 as a decimal string: a number would lose some. */
  readonly modifiedAtNs: string
  /** Of a symlink: as it stands. Of a hard link: the path of the entry that has the content. */
  readonly linkTarget?: string
  readonly linkTargetBytes?: string
  /** Hex, of a file's content as it stands in the archive. */
  readonly sha256?: string
  /** Where the content (of a file) or the header (of the others) begins, in bytes of the uncompressed tar. */
  readonly offset: number
  /** The file had holes: it is restored with holes where it has long runs of zeros. */
  readonly sparse?: true
  /** Extended attributes, values in base64. */
  readonly xattrs?: Readonly<Record<string, string>>
  /** Of a file with more links in the tree: `<device>:<inode>`, so that a resumed run finds it again. */
  readonly links?: string
}

/**
 * A compressed archive is a row of frames (gzip members, zstd frames), each
 * readable by itself, so that one file can be read without the rest. Any tool
 * reads the row as one stream. An uncompressed archive has none.
 */
export interface ManifestFrame {
  readonly line: 'frame'
  /** Where the frame begins in the uncompressed tar, and in the archive as it rests. */
  readonly tarOffset: number
  readonly archiveOffset: number
}

export interface ManifestEnd {
  readonly line: 'end'
  readonly entryCount: number
  /** All but the directories. */
  readonly fileCount: number
  /** Bytes of all files. */
  readonly contentBytes: number
  /** Bytes of the tar, its end blocks included. */
  readonly tarBytes: number
  /** Bytes and SHA-256 (hex) of the archive as it rests. */
  readonly archiveBytes: number
  readonly sha256: string
}

export type ManifestLine = ManifestStart | ManifestEntry | ManifestFrame | ManifestEnd
