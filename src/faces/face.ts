import type { FastifyInstance } from 'fastify'
import type { Auth } from '../auth/auth.ts'
import type { Devices } from '../catalog/devices.ts'
import type { Snapshots } from '../catalog/snapshots.ts'
import type { Sources } from '../catalog/sources.ts'
import type { Jobs } from '../jobs/jobs.ts'
import type { Hub } from '../live/hub.ts'
import type { Clock } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import type { Pools } from '../pools/pools.ts'
import type { Gate } from './auth.ts'
import type { Upgrades } from './upgrades.ts'

/** A liveness check by name: it rejects where the part does not work. */
export type Checks = Readonly<Record<string, () => Promise<void>>>

/** What every face is given: the services, and nothing under them. */
export interface Services {
  readonly jobs: Jobs
  readonly sources: Sources
  readonly devices: Devices
  readonly snapshots: Snapshots
  readonly pools: Pools
  readonly auth: Auth
  readonly hub: Hub
  readonly clock: Clock
  readonly log: Log
  /** What `/healthz` asks. */
  readonly checks: Checks
}

/** What a face gets to hang its routes and sockets on. */
export interface FaceOptions {
  readonly services: Services
  readonly upgrades: Upgrades
  /** One for all faces: who guesses at one of them is slowed down at all. */
  readonly gate: Gate
  /** A proxy in front says in `X-Forwarded-For` who calls. */
  readonly behindProxy: boolean
  /** Aborted when the server begins to close: whoever waits answers at once. */
  readonly closing: AbortSignal
  readonly version: string
  /** Pages of other origins that may call the API. */
  readonly allowedOrigins: readonly string[]
}

/** A dialect over the services: a Fastify plugin with its own shape of errors. */
export type Face = (app: FastifyInstance, options: FaceOptions) => Promise<void>
