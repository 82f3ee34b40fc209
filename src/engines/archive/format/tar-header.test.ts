import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { suite, test } from 'node:test'
import { AppError } from '../../../core/errors.ts'
import { decodePax, encodePax } from './pax.ts'
import {
  BLOCK_BYTES,
  decodeTarBlock,
  END_BYTES,
  encodeTarHeader,
  paddedBytes,
  type TarMember,
  toTarMember,
} from './tar-header.ts'

const member = (more: Partial<TarMember> = {}): TarMember => ({
  name: Buffer.from('a/b.txt'),
  type: 'file',
  bytes: 5,
  mode: 0o640,
  uid: 1000,
  gid: 1001,
  modifiedAtNs: 1_700_000_000_000_000_000n,
  linkTarget: null,
  sparse: false,
  xattrs: null,
  ...more,
})

function decode(header: Buffer): TarMember | null {
  let at = 0
  let block = decodeTarBlock(header.subarray(at, at + BLOCK_BYTES))
  at += BLOCK_BYTES
  let pax = null
  if (block?.flag === 'x') {
    pax = decodePax(header.subarray(at, at + block.bytes))
    at += paddedBytes(block.bytes)
    block = decodeTarBlock(header.subarray(at, at + BLOCK_BYTES))
    at += BLOCK_BYTES
  }
  assert.equal(at, header.length, 'the header is as long as it says')
  return block === null ? null : toTarMember(block, pax)
}

const NS = 1_000_000_000n
const MEMBERS: Readonly<Record<string, TarMember>> = {
  'a plain file': member(),
  'a name of exactly 100 bytes': member({ name: Buffer.alloc(100, 'n') }),
  'a name of 101 bytes': member({ name: Buffer.alloc(101, 'n') }),
  'a name of 3999 bytes': member({ name: Buffer.alloc(3999, 'n/') }),
  'a directory whose slash does not fit': member({
    name: Buffer.alloc(100, 'd'),
    type: 'directory',
    bytes: 0,
  }),
  'the root': member({ name: Buffer.from('.'), type: 'directory', bytes: 0 }),
  'a name in UTF-8': member({ name: Buffer.from('ünï/ço∂é') }),
  'a name that is no UTF-8': member({ name: Buffer.from([0x61, 0xff, 0xfe, 0x80]) }),
  'a name with newlines and equal signs': member({ name: Buffer.from('a\nb=c\n12 path=x') }),
  'a symlink': member({ type: 'symlink', bytes: 0, linkTarget: Buffer.from('../x') }),
  'a symlink with a long target': member({
    type: 'symlink',
    bytes: 0,
    linkTarget: Buffer.alloc(300, 't'),
  }),
  'a hard link to a name that is no UTF-8': member({
    type: 'hardlink',
    bytes: 0,
    linkTarget: Buffer.from([0xff, 0x01]),
  }),
  'the largest size of ustar': member({ bytes: 8 ** 11 - 1 }),
  'a file of 8 GiB': member({ bytes: 8 ** 11 }),
  'a file of 5 PB': member({ bytes: 5e15 }),
  'large owners': member({ uid: 4_294_967_294, gid: 2_097_152 }),
  'a time with nanoseconds': member({ modifiedAtNs: 1_700_000_000n * NS + 123_456_789n }),
  'a time with trailing zeros': member({ modifiedAtNs: 1_700_000_000n * NS + 100_000_000n }),
  'a time before 1970': member({ modifiedAtNs: -1n * NS - 5n }),
  'the instant before 1970': member({ modifiedAtNs: -1n }),
  'a time beyond 2242': member({ modifiedAtNs: 9_000_000_000n * NS }),
  'all permission bits': member({ mode: 0o7777 }),
  'a sparse file': member({ sparse: true }),
  'extended attributes': member({
    xattrs: new Map([
      ['user.text', Buffer.from('value')],
      ['user.bytes', Buffer.from([0, 10, 255, 61])],
      ['user.empty', Buffer.alloc(0)],
    ]),
  }),
}

suite('encodeTarHeader', () => {
  for (const [name, one] of Object.entries(MEMBERS)) {
    test(`keeps ${name}`, () => assert.deepEqual(decode(encodeTarHeader(one)), one))
  }

  test('is the same in a scratch buffer', () => {
    const scratch = Buffer.alloc(64 * 1024, 0xee)
    for (const one of Object.values(MEMBERS)) {
      assert.deepEqual(encodeTarHeader(one, scratch), encodeTarHeader(one))
    }
  })

  test('is one block for a file whose time has nanoseconds', () => {
    const header = encodeTarHeader(member({ modifiedAtNs: 1_700_000_000n * NS + 5n }))
    assert.equal(header.length, BLOCK_BYTES)
    assert.equal(header.toString('latin1', 500, 510), '000000005\0')
  })

  test('writes records of every length around a power of ten', () => {
    for (const around of [10, 100, 1000, 10_000]) {
      for (let bytes = Math.max(1, around - 15); bytes < around + 5; bytes += 1) {
        const value = Buffer.alloc(bytes, 'v')
        assert.deepEqual(decodePax(encodePax([['path', value]])), new Map([['path', value]]))
        const text = encodePax([['mtime', 'v'.repeat(bytes)]])
        assert.deepEqual(decodePax(text), new Map([['mtime', value]]))
      }
    }
  })

  test('is read by GNU tar', () => {
    for (const [name, one] of Object.entries(MEMBERS)) {
      if (one.bytes > 5) continue // without their content GNU tar would miss it
      const content = one.type === 'file' ? Buffer.alloc(BLOCK_BYTES, 'x') : Buffer.alloc(0)
      const input = Buffer.concat([encodeTarHeader(one), content, Buffer.alloc(END_BYTES)])
      const args = ['--quoting-style=literal', '--full-time', '-tf', '-']
      const listed = execFileSync('tar', args, { input, stdio: ['pipe', 'pipe', 'ignore'] })
      const slash = one.type === 'directory' ? '/' : ''
      assert.deepEqual(listed, Buffer.concat([one.name, Buffer.from(`${slash}\n`)]), name)
    }
  })
})

suite('decodeTarBlock', () => {
  const damaged = (error: unknown): boolean => error instanceof AppError && error.code === 'damaged'

  test('answers null for zeros and refuses every flipped byte', () => {
    assert.equal(decodeTarBlock(Buffer.alloc(BLOCK_BYTES)), null)
    const good = encodeTarHeader(member())
    const checksumEnd = 155 // what stands behind the zero that ends the checksum means nothing
    for (let at = 0; at < BLOCK_BYTES; at += 1) {
      if (at === checksumEnd) continue
      const bad = Buffer.from(good)
      bad[at] = (bad[at] ?? 0) ^ 0x55
      assert.throws(() => decodeTarBlock(bad), damaged, `byte ${at}`)
    }
  })

  test('takes no nanoseconds from what another tool left behind the fields', () => {
    const block = encodeTarHeader(member())
    const sum = block.subarray(0, 500).reduce((all, byte) => all + byte, 0)
    const before = block.subarray(148, 156).reduce((all, byte) => all + byte, 0)
    block.write('tar\0', 500, 'latin1')
    const more = block.subarray(500).reduce((all, byte) => all + byte, 0)
    const total = sum - before + 8 * 0x20 + more
    block.write(`${total.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
    assert.equal(decodeTarBlock(block)?.modifiedAtNanoseconds, 0)
  })

  test('refuses a block that is too short', () => {
    assert.throws(() => decodeTarBlock(Buffer.alloc(100)), damaged)
  })

  for (const body of [
    '',
    'x',
    '0 a=b\n',
    '7 a=b\n',
    '5 a=b\n',
    '6 a=bX',
    '6 ab=\n\n',
    '99999999999 a=b\n',
  ]) {
    if (body === '') continue
    test(`refuses the PAX record ${JSON.stringify(body)}`, () => {
      assert.throws(() => decodePax(Buffer.from(body)), damaged)
    })
  }
})
