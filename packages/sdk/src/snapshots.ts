import type { SubmitOptions } from './operations.ts'
import { type CallOptions, everyPage, type PageOptions } from './paging.ts'
import { newIdempotencyKey, type Query, type Transport } from './transport.ts'
import type { OperationWire, PageWire, SnapshotEntryWire, SnapshotWire } from './wire/control.ts'

const SNAPSHOTS = '/api/v1/snapshots'

export interface SnapshotFilter extends PageOptions {
  readonly source?: string
  readonly pool?: string
}

export interface RestoreRequest {
  /** Where to; in place when left out. */
  readonly target?: { readonly path: string }
  /** Exact paths of the snapshot, or globs (`*`, `**`, `?`); everything when left out. */
  readonly paths?: readonly string[]
  /** `merge` keeps what is not in the snapshot, `replace` swaps the whole folder. */
  readonly mode?: 'merge' | 'replace'
  readonly priority?: number
}

export interface VerifyRequest {
  /** A folder of the server that is compared with the snapshot byte for byte; the archive itself when left out. */
  readonly target?: { readonly path: string }
  /** What of the snapshot is compared with the folder, as in a restore; everything when left out. */
  readonly paths?: readonly string[]
  readonly priority?: number
}

export interface BrowseOptions extends PageOptions {
  /** A folder of the snapshot; its root when left out. */
  readonly path?: string
}

export interface DownloadOptions extends CallOptions {
  /** One file; the whole archive when left out. */
  readonly path?: string
  /** In place of `path` where the name is no UTF-8: the `pathBytes` of its entry. */
  readonly pathBytes?: string
  /** From this byte on, to go on with a download that was cut off. */
  readonly fromByte?: number
}

export interface Download {
  readonly name: string
  /** Of what is coming, so without the bytes before `fromByte`; `null` when not known. */
  readonly bytes: number | null
  readonly stream: ReadableStream<Uint8Array>
}

export class Snapshots {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  async get(id: string, options: CallOptions = {}): Promise<SnapshotWire> {
    return await this.#transport.json(path(id), { signal: options.signal })
  }

  async list(filter: SnapshotFilter = {}): Promise<PageWire<SnapshotWire>> {
    const { signal, ...query } = filter
    return await this.#transport.json(SNAPSHOTS, { query, signal })
  }

  all(filter: Omit<SnapshotFilter, 'cursor'> = {}): AsyncGenerator<SnapshotWire, void, undefined> {
    return everyPage((cursor) => this.list(cursor === undefined ? filter : { ...filter, cursor }))
  }

  /** The entries of one folder: folders first, in name order. */
  async browse(id: string, options: BrowseOptions = {}): Promise<PageWire<SnapshotEntryWire>> {
    const { signal, ...query } = options
    return await this.#transport.json(`${path(id)}/files`, { query, signal })
  }

  async download(id: string, options: DownloadOptions = {}): Promise<Download> {
    const fromByte = options.fromByte ?? 0
    const response = await this.#transport.response(`${path(id)}/download`, {
      query: { path: options.path, pathBytes: options.pathBytes },
      headers: { accept: '*/*', ...(fromByte > 0 ? { range: `bytes=${fromByte}-` } : {}) },
      signal: options.signal,
    })
    const length = response.headers.get('content-length')
    return {
      name: nameOf(response.headers.get('content-disposition'), options.path ?? id),
      bytes: length === null ? null : Number(length),
      stream: response.body ?? new Blob([]).stream(),
    }
  }

  /**
   * An address that a browser can open by itself. Where the client has a token,
   * it is part of the address: treat that as a secret.
   */
  async downloadAddress(
    id: string,
    options: Pick<DownloadOptions, 'path' | 'pathBytes'> = {},
  ): Promise<string> {
    const { path: file, pathBytes } = options
    const query: Query = { path: file, pathBytes, token: await this.#transport.token() }
    return this.#transport.address(`${path(id)}/download`, query)
  }

  async restore(
    id: string,
    request: RestoreRequest = {},
    options: SubmitOptions = {},
  ): Promise<OperationWire> {
    return await this.#submit(id, 'restore', request, options)
  }

  /** Reads the archive again, or the folder of a target, and compares that with the manifest. */
  async verify(
    id: string,
    request: VerifyRequest = {},
    options: SubmitOptions = {},
  ): Promise<OperationWire> {
    return await this.#submit(id, 'verify', request, options)
  }

  /** A pinned snapshot refuses to be deleted. */
  async pin(id: string, pinned = true, options: CallOptions = {}): Promise<SnapshotWire> {
    return await this.#transport.json(path(id), {
      method: 'PATCH',
      body: { pinned },
      signal: options.signal,
    })
  }

  async delete(id: string, options: CallOptions = {}): Promise<void> {
    await this.#transport.json(path(id), { method: 'DELETE', signal: options.signal })
  }

  async #submit(
    id: string,
    verb: 'restore' | 'verify',
    body: object,
    options: SubmitOptions,
  ): Promise<OperationWire> {
    return await this.#transport.json(`${path(id)}/${verb}`, {
      method: 'POST',
      body,
      idempotencyKey: options.idempotencyKey ?? newIdempotencyKey(),
      signal: options.signal,
    })
  }
}

const path = (id: string): string => `${SNAPSHOTS}/${encodeURIComponent(id)}`

/** RFC 6266: `filename*` carries what plain `filename` cannot. */
function nameOf(disposition: string | null, fallback: string): string {
  const extended = /filename\*=UTF-8''([^;]+)/i.exec(disposition ?? '')?.[1]
  const plain = /filename="?([^";]+)"?/i.exec(disposition ?? '')?.[1]
  try {
    return extended === undefined
      ? (plain ?? fallback.split('/').at(-1) ?? fallback)
      : decodeURIComponent(extended)
  } catch {
    return plain ?? fallback // badly escaped: the plain name is as good
  }
}
