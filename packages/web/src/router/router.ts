import { useMemo, useSyncExternalStore } from 'react'

/** Where the reader is. The address bar is the only state. */
export interface Place {
  path: string
  query: URLSearchParams
  hash: string
}

const listeners = new Set<() => void>()

const tell = () => {
  for (const listener of listeners) listener()
}

function subscribe(listener: () => void): () => void {
  if (listeners.size === 0) window.addEventListener('popstate', tell)
  listeners.add(listener)
  return () => {
    listeners.delete(listener)
    if (listeners.size === 0) window.removeEventListener('popstate', tell)
  }
}

const readAddress = (): string => location.pathname + location.search + location.hash

export function navigate(to: string, options: { replace?: boolean } = {}): void {
  if (to === readAddress()) return
  const movesOn = new URL(to, location.href).pathname !== location.pathname
  if (options.replace) history.replaceState(null, '', to)
  else history.pushState(null, '', to)
  tell()
  if (!movesOn) return
  window.scrollTo(0, 0)
  document.getElementById('main')?.focus({ preventScroll: true })
}

export function usePlace(): Place {
  const address = useSyncExternalStore(subscribe, readAddress)
  return useMemo(() => {
    const url = new URL(address, location.origin)
    return { path: url.pathname, query: url.searchParams, hash: url.hash }
  }, [address])
}

/** The same place with some of its query changed; empty values are left out. */
export function withQuery(place: Place, changes: Readonly<Record<string, string>>): string {
  const query = new URLSearchParams(place.query)
  for (const [name, value] of Object.entries(changes)) {
    if (value === '') query.delete(name)
    else query.set(name, value)
  }
  const text = query.toString()
  return text === '' ? place.path : `${place.path}?${text}`
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text // badly escaped by hand: then it names nothing that exists
  }
}

/** The parts of `path` that stand for the names in `pattern`, or null: `/sources/:id`. */
export function matchPath(pattern: string, path: string): Record<string, string> | null {
  const wanted = pattern.split('/')
  const given = path.replace(/\/+$/, '').split('/')
  if (wanted.length !== given.length) return null
  const names: Record<string, string> = {}
  for (const [index, part] of wanted.entries()) {
    const value = given[index] ?? ''
    if (part.startsWith(':')) names[part.slice(1)] = decoded(value)
    else if (part !== value) return null
  }
  return names
}
