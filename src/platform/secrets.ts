import {
  createCipheriv,
  createDecipheriv,
  createHash,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto'
import { chmod, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { AppError } from '../core/errors.ts'
import { isMissing, makeFolder, systemCodeOf, writeFileDurably } from './files.ts'

/** Keeps secrets unreadable at rest. */
export interface Secrets {
  /** `context` says what the text is for, such as `source:<id>:password`; it opens nowhere else. */
  seal(text: string, context: string): string
  /** Throws where the text was changed, was sealed for something else, or with another key. */
  open(sealed: string, context: string): string
}

const VERSION = 'sealed1'
const KEY_BYTES = 32
/** NIST SP 800-38D: 96 bits, random; safe for 2^32 texts of one key. */
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** Opens the key of a data folder; makes it at the first start. Only the owner of the process can read it. */
export async function openSecrets(keyFile: string): Promise<Secrets> {
  return createSecrets(await readOrCreateKey(keyFile))
}

export function createSecrets(key: Uint8Array): Secrets {
  return {
    seal(text, context) {
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', key, nonce)
      cipher.setAAD(Buffer.from(context))
      const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
      const parts = Buffer.concat([nonce, cipher.getAuthTag(), body])
      return `${VERSION}:${parts.toString('base64url')}`
    },
    open(sealed, context) {
      try {
        return unseal(key, sealed, context)
      } catch (error) {
        throw cannotOpen(error)
      }
    },
  }
}

const cannotOpen = (cause: unknown): AppError =>
  new AppError(
    'damaged',
    'a sealed secret cannot be opened: it was changed, or sealed with the key of another data folder; set it anew',
    {},
    cause,
  )

function unseal(key: Uint8Array, sealed: string, context: string): string {
  const [version, text = ''] = sealed.split(':')
  if (version !== VERSION) throw new Error('unknown version of a sealed text')
  const parts = Buffer.from(text, 'base64url')
  const bodyStart = NONCE_BYTES + TAG_BYTES
  const decipher = createDecipheriv('aes-256-gcm', key, parts.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  })
  decipher.setAAD(Buffer.from(context))
  decipher.setAuthTag(parts.subarray(NONCE_BYTES, bodyStart))
  return decipher.update(parts.subarray(bodyStart), undefined, 'utf8') + decipher.final('utf8')
}

async function readOrCreateKey(keyFile: string): Promise<Buffer> {
  const text = await readOrCreateSecret(keyFile, () => randomBytes(KEY_BYTES).toString('base64url'))
  const key = Buffer.from(text, 'base64url')
  if (key.length !== KEY_BYTES) {
    throw new AppError(
      'damaged',
      `the key file of the data folder holds ${key.length} bytes instead of ${KEY_BYTES}; put the right one back from a copy`,
    )
  }
  return key
}

/**
 * The content of a secret file; where there is none it is made with `create`.
 * Of two processes that make it at once, both answer the one that stays.
 */
export async function readOrCreateSecret(path: string, create: () => string): Promise<string> {
  try {
    return await readSecret(path)
  } catch (error) {
    if (!isMissing(error)) throw error
  }
  await makeFolder(dirname(path))
  try {
    await writeFileDurably(path, `${create()}\n`, { mode: 0o600, replace: false })
  } catch (error) {
    if (!(error instanceof AppError && error.code === 'conflict')) throw error
  }
  return readSecret(path)
}

async function readSecret(path: string): Promise<string> {
  const text = (await readFile(path, 'utf8')).trim()
  try {
    await chmod(path, 0o600)
  } catch (error) {
    // Not ours, or on a file system without modes: it can be read, and that is all that is needed.
    if (!['EPERM', 'EROFS', 'ENOTSUP'].includes(systemCodeOf(error) ?? '')) throw error
  }
  return text
}

/** Takes the same time wherever the texts differ, so that it tells nothing of either. */
export function equalSecrets(one: string, other: string): boolean {
  return timingSafeEqual(sha256(one), sha256(other))
}

export const sha256Hex = (text: string): string => sha256(text).toString('hex')

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest()

/** `bytes` of randomness as letters, digits, `-` and `_`. */
export const randomToken = (bytes = 32): string => randomBytes(bytes).toString('base64url')
