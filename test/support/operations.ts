import { setTimeout as sleep } from 'node:timers/promises'
import type { OperationWire } from '@holdfast/sdk/wire/control'
import type { Holdfast } from './holdfast.ts'

export type Operation = OperationWire

const POLL_MS = 50

export async function createDirectorySource(
  server: Holdfast,
  path: string,
  config: Record<string, unknown> = {},
): Promise<string> {
  const answer = await server.call('POST', '/api/v1/sources', {
    kind: 'directory',
    name: 'test folder',
    config: { path, ...config },
  })
  if (answer.status !== 201) throw new Error(`source refused: ${JSON.stringify(answer.body)}`)
  return String(answer.body['id'])
}

export async function submit(
  server: Holdfast,
  body: Record<string, unknown>,
  headers: Record<string, string> = {},
): Promise<Operation> {
  const answer = await server.call('POST', '/api/v1/operations', body, headers)
  if (answer.status !== 202) throw new Error(`submission refused: ${JSON.stringify(answer.body)}`)
  return answer.body as unknown as Operation
}

export async function getOperation(server: Holdfast, id: string): Promise<Operation> {
  const answer = await server.call('GET', `/api/v1/operations/${id}`)
  if (answer.status !== 200) throw new Error(`no operation: ${JSON.stringify(answer.body)}`)
  return answer.body as unknown as Operation
}

/** Waits until `is` holds; fails with the last state when it does not within `withinMs`. */
export async function waitFor(
  server: Holdfast,
  id: string,
  is: (operation: Operation) => boolean,
  withinMs = 60_000,
): Promise<Operation> {
  const deadline = performance.now() + withinMs
  for (;;) {
    const operation = await getOperation(server, id)
    if (is(operation)) return operation
    if (performance.now() > deadline) {
      throw new Error(`waited ${withinMs} ms in vain: ${JSON.stringify(operation)}`)
    }
    await sleep(POLL_MS)
  }
}

export const hasEnded = ({ finishedAt }: Operation): boolean => finishedAt !== null

export const waitForEnd = (server: Holdfast, id: string, withinMs?: number): Promise<Operation> =>
  waitFor(server, id, hasEnded, withinMs)
