import { useSyncExternalStore } from 'react'

/**
 * The token this browser signs its requests with. It outlives the tab, so that
 * a restart of the server or the browser asks nobody to sign in again.
 */
const KEY = 'holdfast.token'

const listeners = new Set<() => void>()

export const readToken = (): string | null => localStorage.getItem(KEY)

const tell = () => {
  for (const listener of listeners) listener()
}

export function keepToken(token: string): void {
  localStorage.setItem(KEY, token)
  tell()
}

export function forgetToken(): void {
  localStorage.removeItem(KEY)
  tell()
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  // Another tab signs in or out.
  window.addEventListener('storage', listener)
  return () => {
    listeners.delete(listener)
    window.removeEventListener('storage', listener)
  }
}

export const useToken = (): string | null => useSyncExternalStore(subscribe, readToken)
