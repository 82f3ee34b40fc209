import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { buffer } from 'node:stream/consumers'
import { describe, test } from 'node:test'
import type { Pool } from './pool.ts'

/** What the suite needs of the one who runs it: a fresh, empty pool for each test. */
export type PoolFactory = () => Promise<{ pool: Pool; close(): Promise<void> }>

/** The promises of `Pool`, as tests that every implementation passes. */
export function describePool(name: string, create: PoolFactory): void {
  const pooled = (title: string, claim: (pool: Pool) => Promise<void>) =>
    test(title, async () => {
      const { pool, close } = await create()
      try {
        await claim(pool)
      } finally {
        await close()
      }
    })
  describe(`pool: ${name}`, () => {
    describePublish(pooled)
    describeReading(pooled)
    describeRefusals(pooled)
  })
}

type Pooled = (title: string, claim: (pool: Pool) => Promise<void>) => unknown

export async function put(pool: Pool, key: string, content: string): Promise<void> {
  const name = `for-${key.replaceAll('/', '-')}`
  await writeFile(await pool.stage(name), content)
  await pool.publish(name, key)
}

async function read(pool: Pool, key: string): Promise<string> {
  return (await buffer(await pool.read(key))).toString()
}

async function keysOf(pool: Pool, prefix: string): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of pool.list(prefix)) keys.push(key)
  return keys.sort()
}

function describePublish(pooled: Pooled): void {
  pooled('a published object reads back whole, and its staged file is gone', async (pool) => {
    await put(pool, 'a/b/c.tar', 'content')
    assert.equal(await read(pool, 'a/b/c.tar'), 'content')
    assert.deepEqual(await pool.stat('a/b/c.tar'), { key: 'a/b/c.tar', bytes: 7 })
    await assert.rejects(pool.publish('for-a-b-c.tar', 'd'), { code: 'not_found' })
  })

  pooled('what is staged is no object', async (pool) => {
    await writeFile(await pool.stage('growing'), 'half')
    assert.deepEqual(await keysOf(pool, ''), [])
    assert.equal(await pool.stat('growing'), null)
  })

  pooled('what is staged is listed until it is published or discarded', async (pool) => {
    const names = async () => {
      const found: string[] = []
      for await (const { name } of pool.staged()) found.push(name)
      return found.sort()
    }
    assert.deepEqual(await names(), [])
    for (const name of ['one', 'two', 'three']) await writeFile(await pool.stage(name), name)
    assert.deepEqual(await names(), ['one', 'three', 'two'])
    await pool.publish('one', 'k')
    await pool.discard('two')
    assert.deepEqual(await names(), ['three'])
  })

  pooled('one staging name gives one path', async (pool) => {
    assert.equal(await pool.stage('one'), await pool.stage('one'))
    assert.notEqual(await pool.stage('one'), await pool.stage('two'))
  })

  pooled('an object is never published over', async (pool) => {
    await put(pool, 'taken', 'first')
    await writeFile(await pool.stage('second'), 'second')
    await assert.rejects(pool.publish('second', 'taken'), { code: 'conflict' })
    assert.equal(await read(pool, 'taken'), 'first')
    await pool.publish('second', 'free')
    assert.equal(await read(pool, 'free'), 'second')
  })

  pooled('of many publishers of one key exactly one succeeds', async (pool) => {
    const names = Array.from({ length: 8 }, (_, index) => `racer-${index}`)
    for (const name of names) await writeFile(await pool.stage(name), name)
    const settled = await Promise.allSettled(names.map((name) => pool.publish(name, 'r/prize')))
    const won = names.filter((_, index) => settled[index]?.status === 'fulfilled')
    assert.equal(won.length, 1)
    assert.equal(await read(pool, 'r/prize'), won[0])
  })

  pooled('a discarded staged file is gone, and discarding nothing is fine', async (pool) => {
    await writeFile(await pool.stage('unwanted'), 'x')
    await pool.discard('unwanted')
    await pool.discard('unwanted')
    await assert.rejects(pool.publish('unwanted', 'k'), { code: 'not_found' })
  })
}

function describeReading(pooled: Pooled): void {
  pooled('a range answers exactly its bytes, the empty one none', async (pool) => {
    await put(pool, 'digits', '0123456789')
    const ranges: [number, number, string][] = [
      [0, 10, '0123456789'],
      [0, 1, '0'],
      [3, 7, '3456'],
      [9, 10, '9'],
      [4, 4, ''],
      [10, 10, ''],
    ]
    for (const [start, end, wanted] of ranges) {
      const bytes = await buffer(await pool.read('digits', { start, end }))
      assert.equal(bytes.toString(), wanted, `${start} to ${end}`)
    }
  })

  pooled('a range beyond the object is refused', async (pool) => {
    await put(pool, 'digits', '0123456789')
    for (const [start, end] of [[0, 11] as const, [7, 3] as const, [-1, 2] as const]) {
      await assert.rejects(pool.read('digits', { start, end }), { code: 'invalid' })
    }
  })

  pooled('an empty object is an object', async (pool) => {
    await put(pool, 'empty', '')
    assert.deepEqual(await pool.stat('empty'), { key: 'empty', bytes: 0 })
    assert.equal(await read(pool, 'empty'), '')
  })

  pooled('a read ends with its signal', async (pool) => {
    await put(pool, 'big', 'x'.repeat(4_000_000))
    const controller = new AbortController()
    const stream = await pool.read('big', undefined, controller.signal)
    controller.abort()
    await assert.rejects(buffer(stream), { name: 'AbortError' })
    await assert.rejects(pool.read('big', undefined, controller.signal), { name: 'AbortError' })
  })

  pooled('a list answers the keys of a prefix and no others', async (pool) => {
    for (const key of ['ab', 'a-b/c', 'a/b', 'a/c/d', 'b/a']) await put(pool, key, key)
    assert.deepEqual(await keysOf(pool, ''), ['a-b/c', 'a/b', 'a/c/d', 'ab', 'b/a'])
    assert.deepEqual(await keysOf(pool, 'a'), ['a-b/c', 'a/b', 'a/c/d', 'ab'])
    assert.deepEqual(await keysOf(pool, 'a/'), ['a/b', 'a/c/d'])
    assert.deepEqual(await keysOf(pool, 'a/c/d'), ['a/c/d'])
    assert.deepEqual(await keysOf(pool, 'none/such'), [])
  })

  pooled('a local copy holds the object, and the object outlives it', async (pool) => {
    await put(pool, 'k', 'content')
    const copy = await pool.localCopy('k')
    assert.equal(await readFile(copy.path, 'utf8'), 'content')
    await copy.release()
    assert.equal(await read(pool, 'k'), 'content')
  })

  pooled(
    'what is not there: null for stat, not_found for reads, nothing for remove',
    async (pool) => {
      assert.equal(await pool.stat('none'), null)
      assert.equal(await pool.stat('none/such'), null)
      await assert.rejects(pool.read('none'), { code: 'not_found' })
      await assert.rejects(pool.localCopy('none'), { code: 'not_found' })
      await pool.remove('none')
    },
  )

  pooled('remove takes the object that was named and no other', async (pool) => {
    await put(pool, 'd/one', '1')
    await put(pool, 'd/two', '2')
    await pool.remove('d/one')
    assert.deepEqual(await keysOf(pool, ''), ['d/two'])
    await pool.remove('d')
    assert.equal(await read(pool, 'd/two'), '2')
  })
}

function describeRefusals(pooled: Pooled): void {
  const HOSTILE = ['', '/', '/etc/passwd', '../x', 'a/../../x', 'a//b', 'a/', './a', '.staging/x']
  const ODD = ['a/.hidden', 'a\0b', 'a\nb', 'a\\b', 'ä', 'x'.repeat(300), `a/${'y/'.repeat(600)}z`]

  pooled('keys that are no keys are refused everywhere', async (pool) => {
    await writeFile(await pool.stage('fine'), 'x')
    for (const key of [...HOSTILE, ...ODD]) {
      const refused = { code: 'invalid' }
      await assert.rejects(pool.stat(key), refused, JSON.stringify(key))
      await assert.rejects(pool.publish('fine', key), refused, JSON.stringify(key))
      await assert.rejects(pool.read(key), refused, JSON.stringify(key))
      await assert.rejects(pool.localCopy(key), refused, JSON.stringify(key))
      await assert.rejects(pool.remove(key), refused, JSON.stringify(key))
    }
  })

  pooled('a staging name is one plain name', async (pool) => {
    for (const name of [...HOSTILE, ...ODD, 'a/b', '..', '.']) {
      await assert.rejects(pool.stage(name), { code: 'invalid' }, JSON.stringify(name))
      await assert.rejects(pool.discard(name), { code: 'invalid' }, JSON.stringify(name))
    }
  })

  pooled('a prefix that leads out is refused', async (pool) => {
    for (const prefix of ['/', '../', 'a/../', '.staging/', './']) {
      await assert.rejects(keysOf(pool, prefix), { code: 'invalid' }, prefix)
    }
  })

  pooled('more than there is room for is refused with both figures', async (pool) => {
    const freeBytes = await pool.freeBytes()
    if (freeBytes === null) return // nobody can know, so nothing is promised
    await pool.assertRoom(0)
    await assert.rejects(pool.assertRoom(2 ** 53), (error: Error) => {
      assert.match(
        error.message,
        /^not enough room: 9007199254740992 bytes needed, \d+ bytes free$/,
      )
      return true
    })
  })
}
