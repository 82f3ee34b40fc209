import type { PageWire } from './wire/control.ts'

export interface PageOptions {
  readonly limit?: number
  readonly cursor?: string
  readonly signal?: AbortSignal
}

/** Every call takes one: aborting it ends the request and its retries. */
export interface CallOptions {
  readonly signal?: AbortSignal
}

/** Reads page after page, newest first, as far as the reader goes. */
export async function* everyPage<T>(
  list: (cursor: string | undefined) => Promise<PageWire<T>>,
): AsyncGenerator<T, void, undefined> {
  let cursor: string | undefined
  do {
    const page = await list(cursor)
    yield* page.items
    cursor = page.nextCursor ?? undefined
  } while (cursor !== undefined)
}
