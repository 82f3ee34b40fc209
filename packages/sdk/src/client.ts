import { LiveFeed, type LiveFeedOptions } from './live.ts'
import { LiveStore } from './live-store.ts'
import { Operations } from './operations.ts'
import { type CallOptions, everyPage, type PageOptions } from './paging.ts'
import { Snapshots } from './snapshots.ts'
import { Transport, type TransportOptions } from './transport.ts'
import type {
  AccountWire,
  AuditWire,
  DeviceWire,
  FolderWire,
  NewTokenWire,
  PageWire,
  PoolWire,
  SourceWire,
  TokenWire,
  WhoAmIWire,
} from './wire/control.ts'

const BASE = '/api/v1'

export interface NewSource {
  /** Chosen by the server when left out. */
  readonly id?: string
  readonly kind: SourceWire['kind']
  readonly name: string
  readonly deviceId?: string
  readonly config: Readonly<Record<string, unknown>>
}

export interface SourceChange {
  readonly name?: string
  readonly deviceId?: string | null
  readonly config?: Readonly<Record<string, unknown>>
}

export interface SourceFilter extends PageOptions {
  readonly kind?: SourceWire['kind']
  readonly device?: string
}

export interface NewToken {
  readonly name: string
  readonly permissions: readonly string[]
  /** RFC 3339; for ever when left out. */
  readonly expiresAt?: string
  /** For someone else: administrators only. */
  readonly accountId?: string
}

export interface SessionWire extends WhoAmIWire {
  token: string
  expiresAt: string | null
}

export interface SignInLinkWire {
  /** Opens the dashboard signed in. Works once, for a short time. */
  url: string
  expiresAt: string
}

type Change = Readonly<Record<string, unknown>>

/** The usual verbs of one kind of record. */
class Records<Wire, New, Changes = Change, Filter extends PageOptions = PageOptions> {
  readonly #transport: Transport
  readonly #path: string

  constructor(transport: Transport, name: string) {
    this.#transport = transport
    this.#path = `${BASE}/${name}`
  }

  async list(filter?: Filter): Promise<PageWire<Wire>> {
    const { signal, ...query } = (filter ?? {}) as PageOptions
    return await this.#transport.json(this.#path, { query: { ...query }, signal })
  }

  all(filter?: Omit<Filter, 'cursor'>): AsyncGenerator<Wire, void, undefined> {
    return everyPage((cursor) =>
      this.list({ ...filter, ...(cursor === undefined ? {} : { cursor }) } as Filter),
    )
  }

  async get(id: string, options: CallOptions = {}): Promise<Wire> {
    return await this.#transport.json(this.#of(id), { signal: options.signal })
  }

  async create(record: New, options: CallOptions = {}): Promise<Wire> {
    return await this.#transport.json(this.#path, {
      method: 'POST',
      body: record,
      signal: options.signal,
    })
  }

  async update(id: string, changes: Changes, options: CallOptions = {}): Promise<Wire> {
    return await this.#transport.json(this.#of(id), {
      method: 'PATCH',
      body: changes,
      signal: options.signal,
    })
  }

  async delete(id: string, options: CallOptions = {}): Promise<void> {
    await this.#transport.json(this.#of(id), { method: 'DELETE', signal: options.signal })
  }

  #of(id: string): string {
    return `${this.#path}/${encodeURIComponent(id)}`
  }
}

export interface NewPool {
  readonly id?: string
  readonly name: string
  readonly kind: PoolWire['kind']
  /** By kind; of a local one `path`, a folder of the server. */
  readonly config: Readonly<Record<string, unknown>>
  /** Everybody may use it; administrators only. */
  readonly shared?: boolean
}

export interface NewDevice {
  /** Chosen by the server when left out. */
  readonly id?: string
  readonly name: string
}

class Tokens {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /** The only time the token itself is shown. */
  async create(token: NewToken, options: CallOptions = {}): Promise<NewTokenWire> {
    return await this.#transport.json(`${BASE}/tokens`, {
      method: 'POST',
      body: token,
      signal: options.signal,
    })
  }

  async list(options: PageOptions = {}): Promise<PageWire<TokenWire>> {
    const { signal, ...query } = options
    return await this.#transport.json(`${BASE}/tokens`, { query, signal })
  }

  async revoke(id: string, options: CallOptions = {}): Promise<void> {
    await this.#transport.json(`${BASE}/tokens/${encodeURIComponent(id)}`, {
      method: 'DELETE',
      signal: options.signal,
    })
  }
}

/** Signing in by a link that works once. */
class Sessions {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /** Trades the code of a sign-in link for a session and its token. */
  async start(code: string, options: CallOptions = {}): Promise<SessionWire> {
    return await this.#transport.json(`${BASE}/sessions`, {
      method: 'POST',
      body: { code },
      signal: options.signal,
    })
  }

  /** Makes a fresh sign-in link for whoever asks. */
  async link(options: CallOptions = {}): Promise<SignInLinkWire> {
    return await this.#transport.json(`${BASE}/sessions/link`, {
      method: 'POST',
      signal: options.signal,
    })
  }

  /** Signs out: the token of this client works no more. */
  async end(options: CallOptions = {}): Promise<void> {
    await this.#transport.json(`${BASE}/sessions/current`, {
      method: 'DELETE',
      signal: options.signal,
    })
  }
}

export interface AuditFilter extends PageOptions {
  readonly account?: string
  /** Such as `operation.submit`. */
  readonly action?: string
  /** What it was done to. */
  readonly topicId?: string
}

export interface AccountChange {
  readonly name?: string
  /** `null`: as much as there is. */
  readonly quotaBytes?: number | null
}

export interface HoldfastOptions extends TransportOptions {
  readonly live?: Omit<LiveFeedOptions, 'url' | 'token' | 'fetch'>
}

/**
 * A Holdfast server.
 *
 * @example
 * const holdfast = new Holdfast({ url: 'http://127.0.0.1:8080', token })
 * const source = await holdfast.sources.create({ kind: 'directory', name: 'photos', config: { path: '/srv/photos' } })
 * const backup = await holdfast.operations.submit({ kind: 'backup', sourceId: source.id })
 * const ended = await holdfast.operations.wait(backup.id)
 */
export class Holdfast {
  readonly url: string
  readonly sources: Records<SourceWire, NewSource, SourceChange, SourceFilter>
  readonly operations: Operations
  readonly snapshots: Snapshots
  readonly pools: Omit<Records<PoolWire, NewPool>, 'update'>
  readonly devices: Records<DeviceWire, NewDevice, { readonly name?: string }>
  /** Accounts come to be with their first token. */
  readonly accounts: Omit<Records<AccountWire, never, AccountChange>, 'create' | 'delete'>
  readonly tokens: Tokens
  readonly sessions: Sessions
  /** The live feed: one connection, opened with the first subscriber. */
  readonly live: LiveFeed
  readonly #transport: Transport

  constructor(options: HoldfastOptions = {}) {
    const transport = new Transport(options)
    this.#transport = transport
    this.url = transport.url
    this.sources = new Records(transport, 'sources')
    this.operations = new Operations(transport)
    this.snapshots = new Snapshots(transport)
    this.pools = new Records(transport, 'pools')
    this.devices = new Records(transport, 'devices')
    this.accounts = new Records(transport, 'accounts')
    this.tokens = new Tokens(transport)
    this.sessions = new Sessions(transport)
    this.live = new LiveFeed({
      ...options.live,
      url: transport.url,
      token: () => transport.token(),
      ...(options.fetch === undefined ? {} : { fetch: options.fetch }),
    })
  }

  /** A store of what happens, fed by `live`. Close it when nobody looks any more. */
  liveStore(): LiveStore {
    return new LiveStore(this.live, { fetchOperation: (id) => this.operations.get(id) })
  }

  async whoami(options: CallOptions = {}): Promise<WhoAmIWire> {
    return await this.#transport.json(`${BASE}/whoami`, { signal: options.signal })
  }

  /** Who did what, newest first. Administrators only. */
  async audit(filter: AuditFilter = {}): Promise<PageWire<AuditWire>> {
    const { signal, ...query } = filter
    return await this.#transport.json(`${BASE}/audit`, { query, signal })
  }

  /** The folders of the server, for picking one; its start when `path` is left out. */
  async folders(path?: string, options: CallOptions = {}): Promise<FolderWire> {
    return await this.#transport.json(`${BASE}/folders`, {
      query: { path },
      signal: options.signal,
    })
  }
}
