import { AppError } from '../../../core/errors.ts'

/** PAX records by key. Values are bytes: a path in them may be no UTF-8, and an extended attribute may be anything. */
export type PaxRecords = ReadonlyMap<string, Buffer>

const damaged = (what: string): AppError =>
  new AppError('damaged', `the archive is damaged: ${what}`, { what })

/** `"%d %s=%s\n"`, where the number counts the whole record, itself included (POSIX.1-2001, "pax Header Block"). */
function encodeRecord(key: string, value: string | Buffer): readonly Buffer[] {
  const body = typeof value === 'string' ? Buffer.from(value) : value
  const rest = Buffer.byteLength(key) + body.length + 3
  let total = rest + String(rest).length
  if (rest + String(total).length > total) total += 1
  return [Buffer.from(`${total} ${key}=`), body, Buffer.from('\n')]
}

export function encodePax(records: readonly (readonly [string, string | Buffer])[]): Buffer {
  const [only] = records
  if (records.length === 1 && only !== undefined && typeof only[1] === 'string') {
    // The record of nearly every file: a time, shorter than 100 bytes.
    const rest = only[0].length + only[1].length + 3
    if (rest < 98 && rest > 10) return Buffer.from(`${rest + 2} ${only[0]}=${only[1]}\n`, 'latin1')
  }
  return Buffer.concat(records.flatMap(([key, value]) => encodeRecord(key, value)))
}

const SPACE = 0x20
const EQUALS = 0x3d
const NEWLINE = 0x0a

/** Reads the records of one PAX header. Throws `damaged` where one does not fit. */
export function decodePax(body: Buffer): PaxRecords {
  const records = new Map<string, Buffer>()
  let at = 0
  while (at < body.length) {
    const space = body.indexOf(SPACE, at)
    const digits = space < 0 ? '' : body.toString('latin1', at, space)
    if (!/^[1-9][0-9]{0,9}$/.test(digits)) throw damaged('a PAX record without a length')
    const end = at + Number(digits)
    const equals = body.indexOf(EQUALS, space)
    if (end > body.length || equals < 0 || equals >= end || body[end - 1] !== NEWLINE) {
      throw damaged('a PAX record that does not fit')
    }
    records.set(body.toString('utf8', space + 1, equals), body.subarray(equals + 1, end - 1))
    at = end
  }
  return records
}

/** A whole number that is not negative and loses nothing as a number. */
export function decodePaxNumber(value: Buffer, what: string): number {
  const text = value.toString('latin1')
  const number = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(number)) throw damaged(`a ${what} that is no number`)
  return number
}

/** Seconds with a fraction, to nanoseconds. */
export function decodePaxTime(value: Buffer): bigint {
  const match = /^(-?)([0-9]{1,18})(?:\.([0-9]*))?$/.exec(value.toString('latin1'))
  if (match === null) throw damaged('a time that is no number')
  const [, sign, seconds = '0', fraction = ''] = match
  const ns = BigInt(seconds) * 1_000_000_000n + BigInt(fraction.slice(0, 9).padEnd(9, '0'))
  return sign === '-' ? -ns : ns
}
