import type { LiveMessage } from '@holdfast/sdk/wire/live'
import { WebSocket } from 'ws'
import type { Holdfast } from './holdfast.ts'

type EventMessage = Extract<LiveMessage, { type: 'event' }>
type ProgressMessage = Extract<LiveMessage, { type: 'progress' }>

const OPEN_MS = 10_000
const POLL_MS = 20

/** One socket on `/api/v1/live` of a server, and all that it was told. */
export class LiveReader {
  readonly messages: LiveMessage[] = []
  readonly #socket: WebSocket

  private constructor(socket: WebSocket) {
    this.#socket = socket
    socket.on('message', (data) => {
      this.messages.push(JSON.parse(String(data)) as LiveMessage)
    })
    // A server that is killed takes its sockets along: what matters is what was told until then.
    socket.on('error', () => undefined)
  }

  /** Resolves when it was told how things stand: from there on it misses nothing. */
  static async open(server: Holdfast, subjects: readonly string[]): Promise<LiveReader> {
    const url = new URL('/api/v1/live', server.url.replace(/^http/, 'ws'))
    const socket = new WebSocket(url, {
      headers: { authorization: `Bearer ${server.adminToken}` },
    })
    const reader = new LiveReader(socket)
    socket.once('open', () => socket.send(JSON.stringify({ subscribe: subjects })))
    await reader.until(({ messages }) => messages[0]?.type === 'snapshot', 'a snapshot', OPEN_MS)
    return reader
  }

  /** The sequence of the state it began with. */
  get since(): number {
    const [first] = this.messages
    return first?.type === 'snapshot' ? first.sequence : Number.NaN
  }

  get events(): readonly EventMessage[] {
    return this.messages.filter((message) => message.type === 'event')
  }

  get sequences(): readonly number[] {
    return this.events.map(({ sequence }) => sequence)
  }

  progressOf(operationId: string): readonly ProgressMessage[] {
    return this.messages
      .filter((message) => message.type === 'progress')
      .filter((message) => message.operationId === operationId)
  }

  async until(is: (reader: LiveReader) => boolean, what: string, withinMs: number): Promise<void> {
    for (const endMs = performance.now() + withinMs; !is(this); ) {
      if (performance.now() > endMs) {
        const heard = this.messages.map(({ type }) => type).join(', ')
        throw new Error(`waited ${withinMs} ms in vain for ${what}; heard: ${heard}`)
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
  }

  close(): void {
    this.#socket.terminate()
  }
}
