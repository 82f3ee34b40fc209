import type { Access } from './access.ts'

/** What is to be done about the token of a socket now. */
export type TokenDue = 'expiring' | 'expired' | 'look again' | 'overstayed'

/** A socket that nobody has signed in on is closed after this long. */
const SIGN_IN_WITHIN_MS = 10_000
/** contract 000, A3: after the end of its token a socket stays "open for re-auth". Not for good. */
const RETURN_WITHIN_MS = 10 * 60_000
/** seed 000 upstream: `token expiring` when a minute is left. */
const EXPIRING_BEFORE_MS = 60_000
/** A token that is revoked, or loses its server, is noticed this late at most. */
const LOOK_AGAIN_MS = 30_000

export interface Moment {
  /** For the end of a token, which is a date. */
  readonly nowMs: number
  readonly monotonicMs: number
}

/**
 * Who is on a socket, and for how long. Time is an argument.
 *
 *     nobody ──accept──> signed in ──end, expire──> nobody, but known
 */
export class SignIn {
  #access: Access | null = null
  #wasGood = false
  #toldOfEnd = false
  #isOver = false
  #nobodySinceMs: number
  #lookedAtMs = 0

  constructor(monotonicMs: number) {
    this.#nobodySinceMs = monotonicMs
  }

  /** The newest token that was accepted and not denied, also when it has ended. */
  get access(): Access | null {
    return this.#access
  }

  /** Whether somebody signed in once. */
  get wasGood(): boolean {
    return this.#wasGood
  }

  isGood(nowMs: number): boolean {
    return this.#access !== null && !this.#isOver && leftOf(this.#access, nowMs) > 0
  }

  may(permission: string, nowMs: number): boolean {
    return this.isGood(nowMs) && this.#access?.may(permission) === true
  }

  accept(access: Access, { monotonicMs }: Moment): void {
    this.#access = access
    this.#wasGood = true
    this.#toldOfEnd = false
    this.#isOver = false
    this.#lookedAtMs = monotonicMs
  }

  /** The same token, looked at again: what it may do can have changed. */
  renew(access: Access): void {
    this.#access = access
  }

  /** It was put on the denylist. */
  deny({ monotonicMs }: Moment): void {
    this.#access = null
    this.#nobodySinceMs = monotonicMs
  }

  /** It is good no more. */
  expire({ monotonicMs }: Moment): void {
    this.#isOver = true
    this.#nobodySinceMs = monotonicMs
  }

  /** Asked now and then. Each end is answered once. */
  due(moment: Moment): TokenDue | null {
    const { nowMs, monotonicMs } = moment
    if (this.#access === null || this.#isOver) {
      const patienceMs = this.#wasGood ? RETURN_WITHIN_MS : SIGN_IN_WITHIN_MS
      return monotonicMs - this.#nobodySinceMs >= patienceMs ? 'overstayed' : null
    }
    const leftMs = leftOf(this.#access, nowMs)
    if (leftMs <= 0) {
      this.expire(moment)
      return 'expired'
    }
    if (leftMs <= EXPIRING_BEFORE_MS && !this.#toldOfEnd) {
      this.#toldOfEnd = true
      return 'expiring'
    }
    if (monotonicMs - this.#lookedAtMs < LOOK_AGAIN_MS) return null
    this.#lookedAtMs = monotonicMs
    return 'look again'
  }
}

const leftOf = ({ expiresAtMs }: Access, nowMs: number): number =>
  expiresAtMs === null ? Number.POSITIVE_INFINITY : expiresAtMs - nowMs
