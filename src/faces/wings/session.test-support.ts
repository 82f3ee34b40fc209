import { AppError } from '../../core/errors.ts'
import type { Operation } from '../../core/operation.ts'
import { NO_PROGRESS, type Progress } from '../../core/progress.ts'
import type { Access } from './access.ts'
import { Session } from './session.ts'

export const SERVER = 'server-1'

export const makeOperation = (overrides: Partial<Operation> = {}): Operation => ({
  id: 'op',
  accountId: 'anna',
  kind: 'backup',
  status: 'running',
  statusReason: '',
  outcome: null,
  priority: 50,
  sourceId: SERVER,
  snapshotId: null,
  poolId: null,
  subjects: [],
  input: {},
  result: null,
  failure: null,
  progress: NO_PROGRESS,
  checkpoint: null,
  intent: null,
  attempt: 1,
  workerId: null,
  retryOf: null,
  resumedCount: 0,
  bytesNotRedone: 0,
  createdAtMs: 1,
  startedAtMs: 1,
  updatedAtMs: 1,
  finishedAtMs: null,
  ...overrides,
})

export const archiving = (bytesDone: number, bytesTotal = 1000): Progress => ({
  ...NO_PROGRESS,
  phase: 'archiving',
  bytesDone,
  bytesTotal,
  percent: Math.floor((bytesDone * 100) / bytesTotal),
})

/** A session whose peer keeps what it is told, with hands on all that it asks for. */
export class Peer {
  readonly told: { readonly event: string; readonly args?: readonly unknown[] }[] = []
  readonly closed: number[] = []
  isCut = false
  buffered = 0
  nowMs = 0
  permissions: readonly string[] = ['backup.read']
  expiresAtMs: number | null = null
  isTokenGood = true
  hasRoom = true
  untold: Operation[] = []
  replay: () => Promise<readonly Operation[]> = async () => []
  readonly errors: string[] = []
  readonly session: Session

  constructor(options: { readonly details?: boolean } = {}) {
    const peer = this
    this.session = new Session({
      wire: {
        send: (text) => this.told.push(JSON.parse(text)),
        get buffered() {
          return peer.buffered
        },
        close: (code) => this.closed.push(code),
        cut: () => {
          this.isCut = true
        },
      },
      argsAsText: false,
      details: options.details ?? false,
      authenticate: async () => this.access(),
      takeSeat: () => this.hasRoom,
      replay: () => this.replay(),
      takeUntold: () => this.untold.splice(0),
      newId: () => 'id',
      nowMs: () => this.nowMs,
      monotonicMs: () => this.nowMs,
      log: { error: (message) => this.errors.push(message) },
    })
  }

  access(): Access {
    if (!this.isTokenGood) throw new AppError('unauthenticated', 'jwt: malformed token')
    const { permissions, expiresAtMs } = this
    return {
      may: (permission) => permissions.includes(permission),
      expiresAtMs,
      panel: null,
      again: async () => this.access(),
    }
  }

  async signedIn(): Promise<this> {
    await this.session.authenticate('token')
    return this
  }

  named(event: string) {
    return this.told.filter((frame) => frame.event === event)
  }

  /** What came in frames of progress. */
  payloads(): { readonly percentage: number; readonly error?: string | null }[] {
    return this.named('backup progress').map(({ args = [] }) => args[0] as { percentage: number })
  }

  percentages(): number[] {
    return this.payloads().map(({ percentage }) => percentage)
  }
}
