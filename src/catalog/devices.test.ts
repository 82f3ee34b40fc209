import assert from 'node:assert/strict'
import { test } from 'node:test'
import { admin, anna, ben, PAGE, setUpCatalog } from './catalog.test-support.ts'

test('a device is made, renamed and removed, and each is told', async (t) => {
  const { devices, events, audited } = await setUpCatalog(t)
  const made = await devices.create(anna, { id: 'nas', name: ' NAS ' })
  assert.equal(made.name, 'NAS')
  assert.equal((await devices.update(anna, 'nas', { name: 'Big NAS' })).name, 'Big NAS')
  assert.equal((await devices.get(anna, 'nas')).name, 'Big NAS')
  await devices.remove(anna, 'nas')
  assert.deepEqual((await devices.list(anna, PAGE)).items, [])
  const told = ['created', 'changed', 'deleted'].map((type) => `device nas ${type}`)
  assert.deepEqual(await events(), told)
  assert.deepEqual(await audited(), [
    'anna device.create nas',
    'anna device.change nas',
    'anna device.remove nas',
  ])
})

test('ids and names are checked, and a taken id is a conflict', async (t) => {
  const { devices } = await setUpCatalog(t)
  await devices.create(anna, { id: 'nas', name: 'x' })
  await assert.rejects(devices.create(ben, { id: 'nas', name: 'x' }), { code: 'conflict' })
  await assert.rejects(devices.create(anna, { id: '../x', name: 'x' }), { code: 'invalid' })
  await assert.rejects(devices.create(anna, { name: ' ' }), { code: 'invalid' })
})

test('for others a device is not there, in every verb', async (t) => {
  const { devices } = await setUpCatalog(t)
  await devices.create(anna, { id: 'nas', name: 'x' })
  const absent = { code: 'not_found', message: 'no device nas' }
  await assert.rejects(devices.get(ben, 'nas'), absent)
  await assert.rejects(devices.update(ben, 'nas', { name: 'y' }), absent)
  await assert.rejects(devices.remove(ben, 'nas'), absent)
  assert.deepEqual((await devices.list(ben, { ...PAGE, accountId: 'anna' })).items, [])
  assert.equal((await devices.list(admin, PAGE)).items.length, 1)
})

test('a device with sources stays, and the refusal names one', async (t) => {
  const { devices, sources, world } = await setUpCatalog(t)
  await devices.create(anna, { id: 'nas', name: 'x' })
  const request = { id: 'w', kind: 'directory', name: 'x', config: { path: world } } as const
  await sources.create(anna, { ...request, deviceId: 'nas' })
  await assert.rejects(devices.remove(anna, 'nas'), /has sources, such as w/)
  await sources.update(anna, 'w', { deviceId: null })
  await devices.remove(anna, 'nas')
})
