import type { Caller } from './account.ts'

/** What a token may be given by name. `*` is all but those that begin with `admin`; `admin` is everything. */
export const PERMISSIONS = [
  'sources.read',
  'sources.write',
  'operations.read',
  'operations.write',
  'snapshots.read',
  'snapshots.write',
  'snapshots.restore',
  'pools.read',
  'pools.write',
  'devices.read',
  'devices.write',
  'tokens.read',
  'tokens.write',
  'websocket.connect',
  'backup.read',
  'backup.create',
  'backup.restore',
  'backup.delete',
  'backup.download',
  'admin.accounts',
  'admin.audit',
] as const

export type Permission = (typeof PERMISSIONS)[number]

/** Run contract: `*` = all but `admin…`; `admin` = everything. */
export function grants(permissions: readonly string[], wanted: string): boolean {
  if (permissions.includes('admin') || permissions.includes(wanted)) return true
  return permissions.includes('*') && !wanted.startsWith('admin')
}

export const may = (caller: Caller, permission: string): boolean =>
  grants(caller.permissions, permission)

export const isAdmin = (caller: Caller): boolean => caller.permissions.includes('admin')

/** Whether a record of this account is there at all for the caller: what is not, is answered as not found. */
export const sees = (caller: Caller, accountId: string): boolean =>
  caller.accountId === accountId || isAdmin(caller)

/** Whose records a list shows: `null` is everybody's, for an admin who names no account. */
export const listedAccount = (caller: Caller, asked: string | null = null): string | null =>
  isAdmin(caller) ? asked : caller.accountId

/** Who did it, as the audit trail says it. */
export const actorOf = (caller: Caller): string =>
  caller.tokenId === null ? caller.name : `${caller.name} (token ${caller.tokenId})`
