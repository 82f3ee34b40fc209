import { AppError } from './errors.ts'

/** Run contract: `sub` = any string of 1..128 of `[A-Za-z0-9_.@:-]`. */
const ACCOUNT_ID = /^[A-Za-z0-9_.@:-]{1,128}$/

const RECORD_ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/

export const NAME_LENGTH_MAX = 200

export const isAccountId = (text: string): boolean => ACCOUNT_ID.test(text)

/** Ids that people may choose themselves: of sources, devices and pools. Never a path. */
export const isRecordId = (text: string): boolean => RECORD_ID.test(text)

/** Answers the name without the space around it; refuses an empty, long or unprintable one. */
export function parseName(text: string): string {
  const name = text.trim()
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused here
  if (name.length === 0 || name.length > NAME_LENGTH_MAX || /[\u0000-\u001f\u007f]/.test(name)) {
    throw new AppError(
      'invalid',
      `a name is 1 to ${NAME_LENGTH_MAX} printable characters, not ${JSON.stringify(text.slice(0, 50))}`,
    )
  }
  return name
}
