import type { Readable } from 'node:stream'

export interface ObjectInfo {
  readonly key: string
  readonly bytes: number
}

export interface StagedInfo {
  readonly name: string
  readonly modifiedAtMs: number
}

/** Counts from `start` to before `end`, in bytes of the object. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/** A whole object at a path of this machine, for code that reads by synchronous calls. */
export interface LocalCopy {
  readonly path: string
  /** Gives it back. A copy that was made for the caller is removed; the object itself never is. */
  release(): Promise<void>
}

/**
 * Where bytes rest: a flat space of keys (`a/b/c`, no `..`, no leading slash)
 * holding immutable objects, and a private staging place where an object grows
 * before it is published. An implementation
 *
 * - MUST make `publish` all or nothing and durable when it resolves: no reader
 *   ever sees half an object, and none is lost to a power cut afterwards;
 * - MUST refuse to publish over an object that exists (`conflict`);
 * - MUST never remove or change what was not named to it;
 * - MUST answer `no_room` with both figures when it cannot hold more.
 *
 * `describePool` in pool.contract.ts holds every pool to these.
 */
export interface Pool {
  readonly id: string
  /** Room for new objects in bytes; `null` where nobody can know. */
  freeBytes(): Promise<number | null>
  /** Throws `no_room` with both figures when `bytes` more would not fit beside the reserve. */
  assertRoom(bytes: number): Promise<void>
  stat(key: string): Promise<ObjectInfo | null>
  /**
   * The path of a private file of this machine where the object named `name`
   * grows. The same name gives the same path, also after a restart. The caller
   * writes it; the pool sees to its folder and to nothing else.
   */
  stage(name: string): Promise<string>
  /** Makes a staged file the object `key`. Afterwards the staged file is gone. */
  publish(name: string, key: string, options?: PublishOptions): Promise<void>
  /** Removes a staged file; nothing happens where there is none. */
  discard(name: string): Promise<void>
  /** What is staged on this machine, in no order. */
  staged(): AsyncIterable<StagedInfo>
  /** Throws `not_found` where there is no such object. */
  read(key: string, range?: ByteRange, signal?: AbortSignal): Promise<Readable>
  /** A whole object where synchronous calls can read it; a local pool copies nothing. */
  localCopy(key: string, options?: PublishOptions): Promise<LocalCopy>
  list(prefix: string): AsyncIterable<ObjectInfo>
  /** Removes an object; nothing happens where there is none. */
  remove(key: string): Promise<void>
}

export interface PublishOptions {
  readonly signal?: AbortSignal
  /** Bytes that went over the wire so far; a local pool never calls it. */
  readonly onTransfer?: (bytes: number) => void
}

/** Finds pools for engines. */
export interface PoolDirectory {
  /** Throws `not_found` where there is none of that id. */
  open(poolId: string): Promise<Pool>
}
