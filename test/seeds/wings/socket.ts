import { SignJWT } from 'jose'
import { WebSocket } from 'ws'
import { type Holdfast, JWT_SECRET } from '../../support/holdfast.ts'

export interface Frame {
  readonly event: string
  readonly args?: readonly unknown[]
}

export interface ProgressArgs {
  readonly type: string
  readonly percentage: number
  readonly bytes_written: number
  readonly bytes_total: number
}

/** A client as a panel would be one: a socket on one server that keeps all it hears, with the time. */
export class WingsClient {
  readonly frames: { readonly frame: Frame; readonly atMs: number; readonly text: string }[] = []
  readonly socket: WebSocket
  readonly #waiting = new Set<() => void>()

  private constructor(socket: WebSocket) {
    this.socket = socket
    socket.on('message', (data) => {
      const text = String(data)
      this.frames.push({ frame: JSON.parse(text) as Frame, atMs: performance.now(), text })
      for (const check of this.#waiting) check()
    })
  }

  static async open(
    server: Holdfast,
    serverId: string,
    options: { query?: string; origin?: string } = {},
  ): Promise<WingsClient> {
    const url = `${server.url.replace('http', 'ws')}/api/servers/${serverId}/ws${options.query ?? ''}`
    const socket = new WebSocket(
      url,
      options.origin === undefined ? {} : { origin: options.origin },
    )
    const client = new WingsClient(socket)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    socket.once('open', resolve)
    socket.once('error', reject)
    await promise
    return client
  }

  send(event: string, args: readonly string[] = []): void {
    this.socket.send(JSON.stringify({ event, args }))
  }

  async signIn(token: string): Promise<void> {
    this.send('auth', [token])
    await this.until(({ event }) => event === 'auth success' || event === 'jwt error')
  }

  named(event: string): readonly Frame[] {
    return this.frames.filter(({ frame }) => frame.event === event).map(({ frame }) => frame)
  }

  progress(): readonly ProgressArgs[] {
    return this.named('backup progress').map(({ args }) => args?.[0] as ProgressArgs)
  }

  /** The first frame, heard or still to come, that `is`. */
  async until(is: (frame: Frame) => boolean, withinMs = 60_000): Promise<Frame> {
    const { promise, resolve, reject } = Promise.withResolvers<Frame>()
    const check = () => {
      const found = this.frames.find(({ frame }) => is(frame))
      if (found !== undefined) resolve(found.frame)
    }
    const timer = setTimeout(() => {
      const heard = this.frames.map(({ frame }) => frame.event).join(', ')
      reject(new Error(`not heard within ${withinMs} ms; heard: ${heard}`))
    }, withinMs)
    this.#waiting.add(check)
    check()
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      this.#waiting.delete(check)
    }
  }

  close(): void {
    this.socket.close()
  }
}

const PERMISSIONS = ['websocket.connect', 'backup.read']

/** A token as a panel signs it (contract 000, A3). */
export function panelToken(
  serverId: string,
  options: {
    permissions?: readonly string[]
    secondsLeft?: number
    secret?: string
    userId?: string
    jti?: string
  } = {},
): Promise<string> {
  const nowSeconds = Math.floor(Date.now() / 1000)
  return new SignJWT({
    server_uuid: serverId,
    user_uuid: options.userId ?? '11111111-2222-4333-8444-555555555555',
    permissions: [...(options.permissions ?? PERMISSIONS)],
    unique_id: 'once',
    scope: 'websocket',
  })
    .setProtectedHeader({ alg: 'HS256' })
    .setIssuedAt(nowSeconds)
    .setNotBefore(nowSeconds - 300)
    .setExpirationTime(nowSeconds + (options.secondsLeft ?? 600))
    .setJti(options.jti ?? 'panel-token')
    .sign(new TextEncoder().encode(options.secret ?? JWT_SECRET))
}
