import type { FastifyInstance } from 'fastify'
import { buildServer, type ServerOptions } from '../../src/faces/server.ts'
import { openRig, type Rig } from './control-rig.ts'

/** What a test may look for in a body. A field that is not there is `undefined` all the same. */
export interface Seen {
  readonly id: string
  readonly status: string
  readonly kind: string
  readonly name: string
  readonly snapshotId: string
  readonly items: readonly Seen[]
  readonly nextCursor: string | null
  readonly code: string
  readonly detail: string
  readonly details: Readonly<Record<string, string>>
  readonly requestId: string
  readonly createdAt: string
  readonly progress: { readonly percent: number | null }
  readonly url: string
  readonly token: string
  readonly permissions: readonly string[]
  readonly action: string
  readonly type: string
  readonly path: string
  readonly config: Readonly<Record<string, string>>
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | number | string[] | undefined>>
  readonly text: string
  readonly bytes: Buffer
  readonly body: Seen
}

export type Method = 'GET' | 'HEAD' | 'POST' | 'PATCH' | 'DELETE' | 'OPTIONS'

export interface OpenFace {
  readonly rig: Rig
  readonly app: FastifyInstance
  /** Where the calls seem to come from: limits are by address. */
  address: string
  call(
    token: string | null,
    method: Method,
    url: string,
    body?: unknown,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Answer>
  /** Makes a source; answers its id. */
  protect(token: string): Promise<string>
  /** Backs it up to the end. */
  backUp(token: string, sourceId: string): Promise<{ operationId: string; snapshotId: string }>
  close(): Promise<void>
}

export const TEST_SERVER = {
  host: '127.0.0.1',
  port: 0,
  tls: null,
  behindProxy: false,
  version: '0.0.0-test',
}

/** All faces over the services of a rig, without a listener. */
export async function openFace(options: Partial<ServerOptions> = {}): Promise<OpenFace> {
  const rig = await openRig()
  const { app, stop } = await buildServer({
    ...TEST_SERVER,
    webFolder: rig.folder,
    services: rig.services,
    ...options,
  })
  const face: OpenFace = {
    rig,
    app,
    address: '127.0.0.1',
    call: async (token, method, url, body, headers = {}) => {
      const response = await app.inject({
        method,
        url,
        remoteAddress: face.address,
        headers: { ...(token === null ? {} : { authorization: `Bearer ${token}` }), ...headers },
        ...(body === undefined ? {} : { payload: body as object }),
      })
      const isJson = String(response.headers['content-type']).includes('json')
      return {
        status: response.statusCode,
        headers: response.headers,
        text: response.payload,
        bytes: response.rawPayload,
        body: (isJson && response.payload !== '' ? response.json() : {}) as Seen,
      }
    },
    protect: async (token) => {
      const made = await face.call(token, 'POST', '/api/v1/sources', {
        kind: 'directory',
        name: 'world-1',
        config: { path: rig.sourceFolder },
      })
      if (made.status !== 201) throw new Error(made.text)
      return made.body.id
    },
    backUp: async (token, sourceId) => {
      const made = await face.call(token, 'POST', '/api/v1/operations', {
        kind: 'backup',
        sourceId,
      })
      if (made.status !== 202) throw new Error(made.text)
      const ended = await face.call(token, 'GET', `/api/v1/operations/${made.body.id}?wait=10`)
      if (ended.body.status !== 'completed') throw new Error(ended.text)
      return { operationId: made.body.id, snapshotId: ended.body.snapshotId }
    },
    close: async () => {
      stop()
      await app.close()
      await rig.close()
    },
  }
  return face
}
