import { writeSync } from 'node:fs'

/** One call may write less than it was given: on a disk that is filling up, for instance. */
export function writeAll(fd: number, bytes: Uint8Array, position: number): void {
  let at = 0
  while (at < bytes.length) {
    at += writeSync(fd, bytes, at, bytes.length - at, position + at)
  }
}
