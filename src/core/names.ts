import { AppError } from './errors.ts'

/** Run contract: `sub` = any string of 1..128 of `[A-Za-z0-9_.@:-]`. */
const ACCOUNT_ID = /^[A-Za-z0-9_.@:-]{1,128}$/

const RECORD_ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/

export const NAME_LENGTH_MAX = 200

export const isAccountId = (text: string): boolean => ACCOUNT_ID.test(text)

/** Ids that people may choose themselves: of sources, devices and pools. Never a path. */
export const isRecordId = (text: string): boolean => RECORD_ID.test(text)

/**
 * What steers a terminal (C0 and C1), turns a text around (UAX #9: marks, embeddings,
 * isolates), breaks its line or takes no room: one name could pass for another.
 */
export const UNPRINTABLE = /[\p{Cc}\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/gu

/** Answers the name without the space around it; refuses an empty, long or unprintable one. */
export function parseName(text: string): string {
  const name = text.trim()
  if (name.length === 0 || name.length > NAME_LENGTH_MAX || name.search(UNPRINTABLE) !== -1) {
    throw new AppError(
      'invalid',
      `a name is 1 to ${NAME_LENGTH_MAX} printable characters, not ${JSON.stringify(text.slice(0, 50))}`,
    )
  }
  return name
}
