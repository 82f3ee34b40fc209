import type { Caller } from '../core/account.ts'
import { AppError } from '../core/errors.ts'
import { isRecordId, parseName } from '../core/names.ts'
import { listedAccount, sees } from '../core/permissions.ts'
import type { Device } from '../core/source.ts'
import type { Database } from '../store/database.ts'
import {
  deleteDevice,
  findDevice,
  insertDevice,
  listDevices,
  updateDevice,
} from '../store/devices.ts'
import type { Page, PageRequest } from '../store/rows.ts'
import { listSources } from '../store/sources.ts'
import { type ChangeTeller, tellChange } from './changes.ts'

export interface DeviceRequest {
  readonly id?: string
  readonly name: string
}

export const deviceNotFound = (deviceId: string): AppError =>
  new AppError('not_found', `no device ${deviceId}`, { deviceId })

/** The machines whose sources are shown as one line each. */
export class Devices {
  readonly #database: Database
  readonly #teller: ChangeTeller

  constructor(options: ChangeTeller & { readonly database: Database }) {
    this.#database = options.database
    this.#teller = options
  }

  async create(caller: Caller, request: DeviceRequest): Promise<Device> {
    const id = request.id ?? this.#teller.ids.newId()
    if (!isRecordId(id))
      throw new AppError('invalid', `not an id of a device: ${JSON.stringify(id)}`)
    const device: Device = {
      id,
      accountId: caller.accountId,
      name: parseName(request.name),
      createdAtMs: this.#teller.clock.nowMs(),
    }
    await this.#database.write(async (tx) => {
      await insertDevice(tx, device)
      await tellChange(tx, this.#teller, changeOf(caller, device, 'created', 'device.create'))
    })
    return device
  }

  async get(caller: Caller, id: string): Promise<Device> {
    const device = await findDevice(this.#database.sql, id)
    if (device === null || !sees(caller, device.accountId)) throw deviceNotFound(id)
    return device
  }

  list(
    caller: Caller,
    query: PageRequest & { readonly accountId?: string | null },
  ): Promise<Page<Device>> {
    const accountId = listedAccount(caller, query.accountId)
    return listDevices(this.#database.sql, { ...query, accountId })
  }

  async update(caller: Caller, id: string, request: { readonly name: string }): Promise<Device> {
    const device = { ...(await this.get(caller, id)), name: parseName(request.name) }
    await this.#database.write(async (tx) => {
      if (!(await updateDevice(tx, device))) throw deviceNotFound(id)
      await tellChange(tx, this.#teller, changeOf(caller, device, 'changed', 'device.change'))
    })
    return device
  }

  /** Refused while sources belong to it: they would stand in no line. */
  async remove(caller: Caller, id: string): Promise<void> {
    const device = await this.get(caller, id)
    await this.#database.write(async (tx) => {
      const query = { accountId: null, deviceId: id, limit: 1, cursor: null }
      const [source] = (await listSources(tx.sql, query)).items
      if (source !== undefined) {
        throw new AppError(
          'conflict',
          `the device ${id} has sources, such as ${source.id}; remove them or give them another device first`,
          { deviceId: id, sourceId: source.id },
        )
      }
      if (!(await deleteDevice(tx, id))) throw deviceNotFound(id)
      await tellChange(tx, this.#teller, changeOf(caller, device, 'deleted', 'device.remove'))
    })
  }
}

const changeOf = (
  caller: Caller,
  device: Device,
  type: 'created' | 'changed' | 'deleted',
  action: string,
) =>
  ({
    caller,
    topic: 'device',
    topicId: device.id,
    accountId: device.accountId,
    type,
    action,
    data: { name: device.name },
  }) as const
