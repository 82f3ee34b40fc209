import { AppError } from '../core/errors.ts'

export const KEY_BYTES_MAX = 1024

/**
 * Names within a pool are made by this program, so they can be narrow: what
 * every file system and S3 take alike. None begins with a dot: such names are
 * a pool's own.
 */
const SEGMENT = /^[A-Za-z0-9_@+=-][A-Za-z0-9_@+=.,-]{0,254}$/

export function assertKey(key: string): void {
  const fine = key.length <= KEY_BYTES_MAX && key.split('/').every((part) => SEGMENT.test(part))
  if (!fine) throw badName('key', key)
}

/** A prefix is the beginning of keys: it may end anywhere. */
export function assertPrefix(prefix: string): void {
  const parts = prefix.split('/')
  const last = parts.pop() ?? ''
  const fine =
    prefix.length <= KEY_BYTES_MAX &&
    parts.every((part) => SEGMENT.test(part)) &&
    (last === '' || SEGMENT.test(last))
  if (!fine) throw badName('prefix', prefix)
}

export function assertStagingName(name: string): void {
  if (!SEGMENT.test(name)) throw badName('staging name', name)
}

const badName = (what: string, text: string): AppError =>
  new AppError('invalid', `not a ${what} of a pool: ${JSON.stringify(text.slice(0, 100))}`)
