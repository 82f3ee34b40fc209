import type { Dirent } from 'node:fs'
import { constants, copyFile, open, opendir, rename } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { AppError, noRoom } from '../core/errors.ts'
import {
  explainingRoom,
  freeBytesOf,
  fsyncFile,
  fsyncFolder,
  isMissing,
  lstatOrNull,
  makeFolder,
  publishFile,
  removeFile,
  systemCodeOf,
} from '../platform/files.ts'
import { assertKey, assertPrefix, assertStagingName } from './keys.ts'
import type { ByteRange, LocalCopy, ObjectInfo, Pool, StagedInfo } from './pool.ts'

const STAGING = '.staging'
const READ_CHUNK_BYTES = 256 * 1024

/** Left free for everybody else on the disk, the database of this server included. */
export const RESERVE_BYTES_DEFAULT = 64 * 1024 * 1024

export interface LocalPoolOptions {
  readonly id: string
  readonly root: string
  readonly reserveBytes?: number
}

/**
 * A pool in a folder of this machine: the object `a/b` is the file `a/b`.
 * What grows lies in `.staging` on the same file system and becomes an object
 * by one link of its name.
 */
export class LocalPool implements Pool {
  readonly id: string
  readonly #root: string
  readonly #reserveBytes: number

  constructor(options: LocalPoolOptions) {
    this.id = options.id
    this.#root = resolve(options.root)
    this.#reserveBytes = options.reserveBytes ?? RESERVE_BYTES_DEFAULT
  }

  async freeBytes(): Promise<number> {
    await makeFolder(this.#root)
    return Math.max(0, (await freeBytesOf(this.#root)) - this.#reserveBytes)
  }

  async assertRoom(bytes: number): Promise<void> {
    const freeBytes = await this.freeBytes()
    if (bytes > freeBytes) throw noRoom(bytes, freeBytes)
  }

  async stat(key: string): Promise<ObjectInfo | null> {
    const stats = await lstatOrNull(this.#pathOf(key))
    return stats?.isFile() ? { key, bytes: stats.size } : null
  }

  async stage(name: string): Promise<string> {
    const path = this.#stagingPathOf(name)
    await makeFolder(dirname(path))
    const stats = await lstatOrNull(path)
    if (stats !== null && stats.nlink > 1) await this.#detach(path, stats.size)
    return path
  }

  /**
   * A staged file with a second name was published by a process that ended
   * before it could drop the first one. Whoever goes on writing must not reach
   * the object through it, so he gets a copy.
   */
  #detach(path: string, bytes: number): Promise<void> {
    const copy = `${path}.copy`
    return explainingRoom(dirname(path), bytes, async () => {
      try {
        await this.assertRoom(bytes)
        await copyFile(path, copy, constants.COPYFILE_FICLONE)
        await fsyncFile(copy)
        await rename(copy, path)
        await fsyncFolder(dirname(path))
      } catch (error) {
        await removeFile(copy)
        throw error
      }
    })
  }

  async publish(name: string, key: string): Promise<void> {
    const from = this.#stagingPathOf(name)
    const to = this.#pathOf(key)
    const stats = await lstatOrNull(from)
    if (stats === null) throw new AppError('not_found', `nothing is staged as ${name}`)
    await explainingRoom(this.#root, stats.size, async () => {
      try {
        await makeFolder(dirname(to))
        await publishFile(from, to)
      } catch (error) {
        if (['EEXIST', 'ENOTDIR'].includes(systemCodeOf(error) ?? '')) throw belowObject(key, error)
        throw error
      }
      // A folder that another publisher has just made may not be on the disk yet.
      for (let folder = dirname(to); folder !== this.#root; folder = dirname(folder)) {
        await fsyncFolder(dirname(folder))
      }
    })
  }

  async discard(name: string): Promise<void> {
    await removeFile(this.#stagingPathOf(name))
  }

  async *staged(): AsyncGenerator<StagedInfo> {
    for await (const { name } of this.#entriesOf(STAGING)) {
      const stats = await lstatOrNull(join(this.#root, STAGING, name))
      if (stats?.isFile()) yield { name, modifiedAtMs: stats.mtimeMs }
    }
  }

  async read(key: string, range?: ByteRange, signal?: AbortSignal): Promise<Readable> {
    signal?.throwIfAborted()
    const file = await this.#open(key)
    try {
      const { size } = await file.stat()
      const { start, end } = range ?? { start: 0, end: size }
      if (!(start >= 0 && start <= end && end <= size)) {
        throw new AppError('invalid', `bytes ${start} to ${end} are not within ${size} bytes`)
      }
      if (start === end) {
        await file.close()
        return Readable.from([])
      }
      const options = { start, end: end - 1, highWaterMark: READ_CHUNK_BYTES }
      return file.createReadStream(signal === undefined ? options : { ...options, signal })
    } catch (error) {
      await file.close()
      throw error
    }
  }

  async #open(key: string) {
    const path = this.#pathOf(key)
    try {
      const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
      if ((await file.stat()).isFile()) return file
      await file.close()
    } catch (error) {
      if (!isMissing(error)) throw error
    }
    throw objectNotFound(key)
  }

  async localCopy(key: string): Promise<LocalCopy> {
    if ((await this.stat(key)) === null) throw objectNotFound(key)
    return { path: this.#pathOf(key), release: async () => undefined }
  }

  async *list(prefix: string): AsyncGenerator<ObjectInfo> {
    assertPrefix(prefix)
    const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1)
    yield* this.#listFolder(folder, prefix)
  }

  /** `folder` is `''` or ends with a slash. */
  async *#listFolder(folder: string, prefix: string): AsyncGenerator<ObjectInfo> {
    for await (const entry of this.#entriesOf(folder)) {
      const key = `${folder}${entry.name}`
      if (entry.name.startsWith('.')) continue
      if (entry.isDirectory()) {
        const within = `${key}/`
        if (within.startsWith(prefix) || prefix.startsWith(within)) {
          yield* this.#listFolder(within, prefix)
        }
      } else if (entry.isFile() && key.startsWith(prefix)) {
        const info = await lstatOrNull(join(this.#root, key))
        if (info?.isFile()) yield { key, bytes: info.size }
      }
    }
  }

  async *#entriesOf(folder: string): AsyncGenerator<Dirent> {
    try {
      yield* await opendir(join(this.#root, folder))
    } catch (error) {
      if (!isMissing(error)) throw error
    }
  }

  async remove(key: string): Promise<void> {
    const path = this.#pathOf(key)
    if ((await this.stat(key)) === null) return
    if (await removeFile(path)) await fsyncFolder(dirname(path))
  }

  #pathOf(key: string): string {
    assertKey(key)
    return join(this.#root, key)
  }

  #stagingPathOf(name: string): string {
    assertStagingName(name)
    return join(this.#root, STAGING, name)
  }
}

/** In folders, unlike in S3, `a` and `a/b` cannot both be objects. */
const belowObject = (key: string, cause: unknown): AppError =>
  new AppError('conflict', `a part of ${key} is an object itself`, { key }, cause)

const objectNotFound = (key: string): AppError =>
  new AppError('not_found', `no object ${key} in the pool`, { key })
