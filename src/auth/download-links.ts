import { AppError } from '../core/errors.ts'
import type { Clock } from '../platform/clock.ts'
import { verifyJwt } from './jwt.ts'

/** What the link of a panel opens (contract 000, A5, `GET /download/backup`). */
export interface DownloadLink {
  readonly serverUuid: string
  readonly backupUuid: string
  readonly uniqueId: string
  /** Who asked the panel for it, where the panel says so: what denies his tokens denies this. */
  readonly userUuid: string | null
  readonly tokenId: string | null
  readonly issuedAtMs: number
}

/** contract 000, A5: "Token single use (60 min memory)". */
const REMEMBERED_MS = 60 * 60_000
const REMEMBERED_MAX = 100_000

const refused = (message: string): AppError => new AppError('not_found', message)

/** The links by which a panel lets a person download one backup, each once. */
export class DownloadLinks {
  readonly #secret: Uint8Array
  readonly #clock: Pick<Clock, 'nowMs'>
  readonly #startedAtMs: number
  /** Unique ids that were used, with the time, oldest first. */
  readonly #used = new Map<string, number>()

  constructor(secret: Uint8Array, clock: Pick<Clock, 'nowMs'>) {
    this.#secret = secret
    this.#clock = clock
    this.#startedAtMs = Math.floor(clock.nowMs() / 1000) * 1000
  }

  /** Throws `not_found` for every link that opens nothing, whatever the reason: it tells a stranger no more. */
  async identify(token: string | null): Promise<DownloadLink> {
    if (token === null) throw refused('no download token')
    const claims = await verifyJwt(token, this.#secret, this.#clock.nowMs()).catch(
      (error: unknown) => {
        throw new AppError('not_found', 'this link is not good, or no longer', {}, error)
      },
    )
    const { iat, exp, scope, jti } = claims
    const [server, backup, unique, user] = [
      'server_uuid',
      'backup_uuid',
      'unique_id',
      'user_uuid',
    ].map((name) => {
      const value = claims[name]
      return typeof value === 'string' ? value.toLowerCase() : ''
    })
    // What was used before this process started is not remembered: such links are not good any more.
    const isFresh = iat !== undefined && iat * 1000 >= this.#startedAtMs && exp !== undefined
    const isInScope = scope === undefined || String(scope).split(' ').includes('backup-download')
    if (!server || !backup || !unique || !isFresh || !isInScope) {
      throw refused('this link is not good, or no longer')
    }
    return {
      serverUuid: server,
      backupUuid: backup,
      uniqueId: unique,
      userUuid: user || null,
      tokenId: jti ?? null,
      issuedAtMs: iat * 1000,
    }
  }

  isUsed({ uniqueId }: DownloadLink): boolean {
    return this.#used.has(uniqueId)
  }

  /** Takes the one use of it; `false` where it was taken before. */
  useOnce({ uniqueId }: DownloadLink): boolean {
    const nowMs = this.#clock.nowMs()
    for (const [id, atMs] of this.#used) {
      if (nowMs - atMs < REMEMBERED_MS && this.#used.size < REMEMBERED_MAX) break
      this.#used.delete(id)
    }
    if (this.#used.has(uniqueId)) return false
    this.#used.set(uniqueId, nowMs)
    return true
  }
}
