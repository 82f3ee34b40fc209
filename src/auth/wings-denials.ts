/** What a denial looks at in a token of a panel. */
export interface Deniable {
  readonly serverUuid: string
  /** `null` where the token names nobody, as links of some panels do. */
  readonly userUuid: string | null
  readonly tokenId: string | null
  readonly issuedAtMs: number
}

/** Denials kept for one server; beyond, every token of that server issued until then is denied instead. */
const DENIALS_PER_SERVER_MAX = 2_000

/** No server has this id. */
const EVERY_SERVER = '*'

/** Each with the moment until which tokens are denied: one that is issued later is good again. */
interface ServerDenials {
  readonly tokenIds: Map<string, number>
  readonly userUuids: Map<string, number>
  everythingAtMs: number
}

/**
 * Which tokens of a panel are denied, by server: what is said of one server
 * changes nothing for another. A panel gives a person the same token id on a
 * server each time, so a denial holds for what was issued until then. The list
 * lives in memory alone: a token from before the start is denied anyway.
 */
export class WingsDenials {
  readonly #servers = new Map<string, ServerDenials>()

  denyToken(serverUuid: string, tokenId: string, nowMs: number): void {
    this.#roomOf(serverUuid.toLowerCase(), nowMs).tokenIds.set(tokenId, nowMs)
  }

  denyUser(serverUuid: string, userUuid: string, nowMs: number): void {
    this.#roomOf(serverUuid.toLowerCase(), nowMs).userUuids.set(userUuid.toLowerCase(), nowMs)
  }

  denyUserEverywhere(userUuid: string, nowMs: number): void {
    this.denyUser(EVERY_SERVER, userUuid, nowMs)
  }

  denies({ serverUuid, userUuid, tokenId, issuedAtMs }: Deniable): boolean {
    return [serverUuid.toLowerCase(), EVERY_SERVER].some((server) => {
      const denials = this.#servers.get(server)
      if (denials === undefined) return false
      const until = Math.max(
        denials.everythingAtMs,
        atOf(denials.tokenIds, tokenId),
        atOf(denials.userUuids, userUuid),
      )
      return issuedAtMs <= until
    })
  }

  #roomOf(server: string, nowMs: number): ServerDenials {
    const denials = this.#servers.get(server) ?? {
      tokenIds: new Map<string, number>(),
      userUuids: new Map<string, number>(),
      everythingAtMs: NEVER,
    }
    this.#servers.set(server, denials)
    if (denials.tokenIds.size + denials.userUuids.size >= DENIALS_PER_SERVER_MAX) {
      denials.tokenIds.clear()
      denials.userUuids.clear()
      denials.everythingAtMs = nowMs
    }
    return denials
  }
}

const NEVER = Number.NEGATIVE_INFINITY

const atOf = (moments: ReadonlyMap<string, number>, key: string | null): number =>
  key === null ? NEVER : (moments.get(key) ?? NEVER)
