import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import {
  type FixtureMember,
  type Home,
  makeHome,
  makeTar,
  makeTask,
  RecordingContext,
  ROOT,
  storeArchive,
  toMember,
} from './archive.fixture.ts'
import { encodePax } from './format/pax.ts'
import { BLOCK_BYTES, END_BYTES, encodeTarHeader, paddedBytes } from './format/tar-header.ts'
import { ReadPool } from './read/read-pool.ts'
import { RestoreArchive } from './read/restore.ts'
import { VerifyArchive } from './read/verify.ts'

// Archives that an attacker would make. Their record is in order (size and SHA-256 match): only
// what stands in them must stop them.

let home: Home
const threads = new ReadPool()

before(async () => {
  home = await makeHome()
})
after(async () => {
  await threads.close()
  await home.remove()
})

const OUTSIDE = 'outside'
const tarOf = (...members: readonly FixtureMember[]): Buffer => makeTar([ROOT, ...members]).tar
const END = Buffer.alloc(END_BYTES)

/** The header of a member after `change` did something to its last block, with a checksum that fits. */
function header(given: FixtureMember, change: (block: Buffer) => void): Buffer {
  const bytes = Buffer.from(encodeTarHeader(toMember(given)))
  const block = bytes.subarray(bytes.length - BLOCK_BYTES)
  change(block)
  block.fill(0x20, 148, 156)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return bytes
}

const root = Buffer.from(encodeTarHeader(toMember(ROOT)))
const withFlag = (flag: string): Buffer =>
  Buffer.concat([root, header({ name: 'odd' }, (block) => block.write(flag, 156, 'latin1')), END])
const withSize = (size: string | Buffer): Buffer =>
  Buffer.concat([
    root,
    header({ name: 'odd' }, (block) =>
      Buffer.isBuffer(size) ? size.copy(block, 124) : block.write(size, 124, 'latin1'),
    ),
    END,
  ])

function withPax(records: readonly (readonly [string, string | Buffer])[]): Buffer {
  const pax = encodePax(records)
  const block = header({ name: 'pax' }, (bytes) => {
    bytes.write('x', 156, 'latin1')
    bytes.write(`${pax.length.toString(8).padStart(11, '0')}\0`, 124, 'latin1')
  })
  const body = Buffer.concat([pax, Buffer.alloc(paddedBytes(pax.length) - pax.length)])
  return Buffer.concat([root, block, body, header({ name: 'named' }, () => undefined), END])
}

const huge = Buffer.from([0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
const negative = Buffer.alloc(12, 0xff)
const whole = tarOf({ name: 'a', content: 'content' })
const many = tarOf(...Array.from({ length: 50 }, (_, n) => ({ name: `f${n}` })))

const HOSTILE: Readonly<Record<string, () => Buffer>> = {
  'a name that climbs out': () => tarOf({ name: `../${OUTSIDE}`, content: 'x' }),
  'a name that climbs out from below': () => tarOf({ name: `a/../../${OUTSIDE}`, content: 'x' }),
  'a name that is only ".."': () => tarOf({ name: '..', type: 'directory' }),
  'an absolute name': () => tarOf({ name: join(home.root, OUTSIDE), content: 'x' }),
  'an empty segment': () => tarOf({ name: 'a//b', content: 'x' }),
  'a "." segment in the middle': () => tarOf({ name: 'a/./b', content: 'x' }),
  'a PAX path that climbs out': () => withPax([['path', `../${OUTSIDE}`]]),
  'a PAX path that is absolute': () => withPax([['path', join(home.root, OUTSIDE)]]),
  'a PAX path with a zero byte': () => withPax([['path', 'a\0b']]),
  'a PAX size that lies': () => withPax([['size', '99999999']]),
  'a PAX record that does not fit': () => withPax([['x', 'y']]).fill(0x39, 1024, 1026),
  'a symlink, then a file written through it': () =>
    tarOf(
      { name: 'd', type: 'symlink', linkTarget: home.root },
      { name: `d/${OUTSIDE}`, content: 'x' },
    ),
  'a symlink, then a file of the same name': () =>
    tarOf(
      { name: 'f', type: 'symlink', linkTarget: join(home.root, OUTSIDE) },
      { name: 'f', content: 'x' },
    ),
  'a symlink in place of a directory': () =>
    tarOf(
      { name: 'd', type: 'directory' },
      { name: 'd', type: 'symlink', linkTarget: home.root },
      { name: `d/${OUTSIDE}`, content: 'x' },
    ),
  'a directory in place of a symlink': () =>
    tarOf(
      { name: 'd', type: 'symlink', linkTarget: home.root },
      { name: 'd', type: 'directory' },
      { name: `d/${OUTSIDE}`, content: 'x' },
    ),
  'a chain of symlinks': () =>
    tarOf(
      { name: 'a', type: 'directory' },
      { name: 'a/up', type: 'symlink', linkTarget: '..' },
      { name: 'a/up/up', type: 'symlink', linkTarget: '..' },
      { name: `a/up/up/${OUTSIDE}`, content: 'x' },
    ),
  'a hard link to a file outside': () =>
    tarOf({ name: 'h', type: 'hardlink', linkTarget: '../secret' }),
  'a hard link to an absolute path': () =>
    tarOf({ name: 'h', type: 'hardlink', linkTarget: join(home.root, 'secret') }),
  'a hard link through a symlink': () =>
    tarOf(
      { name: 'd', type: 'symlink', linkTarget: home.root },
      { name: 'h', type: 'hardlink', linkTarget: 'd/secret' },
    ),
  'a hard link to a symlink': () =>
    tarOf(
      { name: 'd', type: 'symlink', linkTarget: join(home.root, 'secret') },
      { name: 'h', type: 'hardlink', linkTarget: 'd' },
    ),
  'a hard link to nothing before it': () =>
    tarOf({ name: 'h', type: 'hardlink', linkTarget: 'later' }, { name: 'later', content: 'x' }),
  'a symlink that takes the place of the root': () =>
    makeTar([{ name: '.', type: 'symlink', linkTarget: home.root }]).tar,
  'a file that takes the place of a directory': () =>
    tarOf(
      { name: 'd', type: 'directory' },
      { name: 'd/f', content: 'x' },
      { name: 'd', content: 'y' },
    ),
  'the same file twice': () => tarOf({ name: 'f', content: 'x' }, { name: 'f', content: 'y' }),
  'a directory that comes again': () =>
    tarOf(
      { name: 'd', type: 'directory' },
      { name: 'e', content: 'x' },
      { name: 'd/late', content: 'x' },
    ),
  'a character device': () => withFlag('3'),
  'a block device': () => withFlag('4'),
  'a FIFO': () => withFlag('6'),
  'a GNU sparse file': () => withFlag('S'),
  'a GNU long name': () => withFlag('L'),
  'a global PAX header': () => withFlag('g'),
  'a negative size': () => withSize(negative),
  'a huge size': () => withSize(huge),
  'a size beyond the archive': () => withSize('77777777777\0'),
  'a size that is no number': () => withSize('12x\0'),
  'no end blocks': () => whole.subarray(0, whole.length - END_BYTES),
  'one end block': () => whole.subarray(0, whole.length - BLOCK_BYTES),
  'an end inside a file': () => whole.subarray(0, whole.length - END_BYTES - BLOCK_BYTES),
  'an end inside a header': () => whole.subarray(0, BLOCK_BYTES + 100),
  'something after the end blocks': () => Buffer.concat([whole, Buffer.from('more')]),
  'members after the end blocks': () => Buffer.concat([whole, whole]),
  'random bytes': () => randomBytes(10 * BLOCK_BYTES),
  nothing: () => Buffer.alloc(0),
}

for (const [name, make] of Object.entries(HOSTILE)) {
  test(`${name} is refused, with nothing outside of the target`, async () => {
    writeFileSync(join(home.root, 'secret'), 'secret')
    const target = join(home.root, 'target')
    mkdirSync(target)
    writeFileSync(join(target, 'kept'), 'kept')
    const names = readdirSync(home.root)
    for (const compression of ['none', 'zstd'] as const) {
      const tar = make()
      const fixture = { tar, lines: [] }
      const snapshot = await storeArchive(home, fixture, { compression, withManifest: false })
      const task = makeTask('restore', snapshot, { target: { path: target }, mode: 'replace' })
      const engine = new RestoreArchive({
        pools: home.pools,
        threads,
        forbiddenRoots: async () => [],
      })
      await assert.rejects(engine.run(task, new RecordingContext()), { code: 'damaged' })
      const verify = new VerifyArchive({
        pools: home.pools,
        threads,
        forbiddenRoots: async () => [],
      })
      const { verifiedWell } = await verify.run(
        makeTask('verify', snapshot, {}),
        new RecordingContext(),
      )
      assert.equal(verifiedWell, false)
    }
    assert.equal(existsSync(join(home.root, OUTSIDE)), false)
    assert.equal(readFileSync(join(home.root, 'secret'), 'utf8'), 'secret')
    assert.deepEqual(readdirSync(target), ['kept'])
    assert.deepEqual(
      readdirSync(home.root).filter((entry) => entry !== 'pool'),
      names.filter((entry) => entry !== 'pool'),
    )
    await rmTarget(target)
  })
}

async function rmTarget(target: string): Promise<void> {
  await threads.run({ kind: 'remove', path: target }, new AbortController().signal)
}

test('more entries or bytes than the record tells of are refused', async () => {
  const engine = new RestoreArchive({ pools: home.pools, threads, forbiddenRoots: async () => [] })
  const target = { path: join(home.root, 'bomb') }
  const snapshot = await storeArchive(home, { tar: many, lines: [] }, { compression: 'gzip' })
  await assert.rejects(
    engine.run(makeTask('restore', snapshot, { target }), new RecordingContext()),
    { code: 'damaged', message: /more entries/ },
  )
  const without = await storeArchive(
    home,
    { tar: many, lines: [] },
    {
      compression: 'gzip',
      withManifest: false,
    },
  )
  const details = { ...without.details, tarBytes: 5000 }
  await assert.rejects(
    engine.run(makeTask('restore', { ...without, details }, { target }), new RecordingContext()),
    { code: 'damaged', message: /unpacks to more/ },
  )
  assert.equal(existsSync(target.path), false)
})

test('a symlink that leads out is kept as it stands, and never followed', async () => {
  const fixture = makeTar([ROOT, { name: 'out', type: 'symlink', linkTarget: '/etc/passwd' }])
  const snapshot = await storeArchive(home, fixture)
  const engine = new RestoreArchive({ pools: home.pools, threads, forbiddenRoots: async () => [] })
  const path = join(home.root, 'with-link')
  await engine.run(makeTask('restore', snapshot, { target: { path } }), new RecordingContext())
  assert.deepEqual(readdirSync(path), ['out'])
})
