import type { IncomingMessage } from 'node:http'
import { isIPv6 } from 'node:net'

const MAPPED = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i

/** What limits count by. RFC 4291, section 2.5.4: one network of IPv6 has 64 bits of addresses, all its own. */
export function addressKey(address: string): string {
  const mapped = MAPPED.exec(address)?.[1]
  if (mapped !== undefined) return mapped
  if (!isIPv6(address)) return address
  const [head = '', tail] = address.split('::')
  const groups = head === '' ? [] : head.split(':')
  if (tail !== undefined) {
    const rest = tail === '' ? [] : tail.split(':')
    groups.push(...Array.from({ length: 8 - groups.length - rest.length }, () => '0'), ...rest)
  }
  return `${groups.slice(0, 4).join(':')}::/64`
}

const LOOPBACK = /^(127(\.\d{1,3}){3}|::1|::ffff:127(\.\d{1,3}){3}|localhost)$/i

export const isLoopback = (host: string): boolean => LOOPBACK.test(host)

/** Who opens a socket: the address that a proxy in front has seen, where there is one. */
export function addressOf(request: IncomingMessage, behindProxy: boolean): string {
  const forwarded = request.headers['x-forwarded-for']
  const nearest = [forwarded].flat().join(',').split(',').at(-1)?.trim()
  return (behindProxy && nearest) || request.socket.remoteAddress || 'unknown'
}

/**
 * Whether this machine itself asks, by a name or address of its own. A page of
 * somewhere else can have its own name lead here (DNS rebinding); what it asks
 * then carries that name.
 */
export function isFromHere(request: IncomingMessage): boolean {
  const { headers, socket } = request
  if (headers['x-forwarded-for'] !== undefined || headers.forwarded !== undefined) return false
  if (!isLoopback(socket.remoteAddress ?? '')) return false
  const url = `http://${headers.host ?? ''}`
  if (!URL.canParse(url)) return false
  const name = new URL(url).hostname.replace(/^\[|\]$/g, '')
  return isLoopback(name) || name === socket.localAddress
}
