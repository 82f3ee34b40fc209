import type { Kysely } from 'kysely'
import type { Device } from '../core/source.ts'
import type { WriteTransaction } from './database.ts'
import { assertInserted, type Page, type PageRequest, readPage } from './rows.ts'
import type { DeviceRow, Tables } from './tables.ts'

export interface DeviceQuery extends PageRequest {
  /** `null` lists those of every account. */
  readonly accountId: string | null
}

/** Throws `conflict` when there is one of that id. */
export async function insertDevice(tx: WriteTransaction, device: Device): Promise<void> {
  const added = await tx.sql
    .insertInto('devices')
    .values(toRow(device))
    .onConflict((conflict) => conflict.column('id').doNothing())
    .executeTakeFirst()
  assertInserted(added, 'device', device.id)
}

export async function findDevice(sql: Kysely<Tables>, id: string): Promise<Device | null> {
  const row = await sql.selectFrom('devices').selectAll().where('id', '=', id).executeTakeFirst()
  return row === undefined ? null : toDevice(row)
}

export function listDevices(sql: Kysely<Tables>, query: DeviceQuery): Promise<Page<Device>> {
  let rows = sql.selectFrom('devices').selectAll()
  if (query.accountId !== null) rows = rows.where('account_id', '=', query.accountId)
  return readPage(rows, query, toDevice)
}

/** Replaces the record of that id; answers `false` when there is none. */
export async function updateDevice(tx: WriteTransaction, device: Device): Promise<boolean> {
  const { id, ...columns } = toRow(device)
  const changed = await tx.sql
    .updateTable('devices')
    .set(columns)
    .where('id', '=', id)
    .executeTakeFirst()
  return changed.numUpdatedRows > 0n
}

export async function deleteDevice(tx: WriteTransaction, id: string): Promise<boolean> {
  const gone = await tx.sql.deleteFrom('devices').where('id', '=', id).executeTakeFirst()
  return gone.numDeletedRows > 0n
}

const toRow = (device: Device): DeviceRow => ({
  id: device.id,
  account_id: device.accountId,
  name: device.name,
  created_at_ms: device.createdAtMs,
})

const toDevice = (row: DeviceRow): Device => ({
  id: row.id,
  accountId: row.account_id,
  name: row.name,
  createdAtMs: row.created_at_ms,
})
