import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { suite, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { AppError } from '../../../core/errors.ts'
import { beginEntryLine, endEntryLine, endHashedLine } from '../create/entry-line.ts'
import type { ManifestLine } from './manifest.ts'
import { encodeManifestLine, parseManifestLine, readManifest } from './manifest-file.ts'
import type { TarMember } from './tar-header.ts'

const START: ManifestLine = { line: 'start', version: 1, compression: 'none', createdAtMs: 5 }
const ENTRY: ManifestLine = {
  line: 'entry',
  path: 'a\nb',
  type: 'file',
  bytes: 3,
  mode: 0o644,
  uid: 0,
  gid: 0,
  modifiedAtNs: '1700000000123456789',
  offset: 512,
  sha256: 'ab',
}
const END: ManifestLine = {
  line: 'end',
  entryCount: 1,
  fileCount: 1,
  contentBytes: 3,
  tarBytes: 2048,
  archiveBytes: 2048,
  sha256: 'cd',
}

const member: TarMember = {
  name: Buffer.from([0x22, 0xff]),
  type: 'symlink',
  bytes: 0,
  mode: 0o777,
  uid: 1,
  gid: 2,
  modifiedAtNs: -5n,
  linkTarget: Buffer.from('a"b'),
  sparse: false,
  xattrs: new Map([['user.x', Buffer.from([0])]]),
}

async function readAll(...chunks: readonly Buffer[]): Promise<ManifestLine[]> {
  const lines: ManifestLine[] = []
  for await (const line of readManifest(Readable.from(chunks))) lines.push(line)
  return lines
}

const pack = (...lines: readonly ManifestLine[]): Buffer =>
  gzipSync(lines.map(encodeManifestLine).join(''))

const damaged = (error: unknown): boolean => error instanceof AppError && error.code === 'damaged'

suite('readManifest', () => {
  test('reads members of gzip one after the other', async () => {
    assert.deepEqual(await readAll(pack(START, ENTRY), pack(ENTRY), pack(END)), [
      START,
      ENTRY,
      ENTRY,
      END,
    ])
  })

  test('reads a manifest that comes byte by byte', async () => {
    const bytes = Buffer.concat([pack(START), pack(ENTRY, END)])
    const chunks = Array.from(bytes, (byte) => Buffer.from([byte]))
    assert.deepEqual(await readAll(...chunks), [START, ENTRY, END])
  })

  const whole = pack(START, ENTRY, END)
  const bad: Readonly<Record<string, readonly Buffer[]>> = {
    'nothing at all': [],
    'no end': [pack(START, ENTRY)],
    'no start': [pack(ENTRY, END)],
    'two starts': [pack(START, START, END)],
    'something behind its end': [pack(START, END, ENTRY)],
    'a cut tail': [whole.subarray(0, whole.length - 12)],
    'a line without its newline': [gzipSync('{"line":"start"')],
    'no gzip': [Buffer.from('hello')],
    'no JSON': [gzipSync('hello\n')],
    'a negative size': [pack(START, { ...ENTRY, bytes: -1 }, END)],
    'an unknown type': [pack(START, { ...ENTRY, type: 'socket' } as never, END)],
  }
  for (const [what, chunks] of Object.entries(bad)) {
    test(`refuses a manifest with ${what}`, () => assert.rejects(readAll(...chunks), damaged))
  }
})

suite('beginEntryLine', () => {
  test('makes lines that are read back', () => {
    assert.deepEqual(parseManifestLine(endEntryLine(beginEntryLine(member, 7, null))), {
      line: 'entry',
      path: '"\ufffd',
      pathBytes: Buffer.from([0x22, 0xff]).toString('base64'),
      type: 'symlink',
      bytes: 0,
      mode: 0o777,
      uid: 1,
      gid: 2,
      modifiedAtNs: '-5',
      linkTarget: 'a"b',
      offset: 7,
      xattrs: { 'user.x': 'AA==' },
    })
    const file = { ...member, type: 'file', sparse: true, linkTarget: null } as const
    const line = parseManifestLine(endHashedLine(beginEntryLine(file, 0, '1:2'), 'ef'))
    assert.equal(line.line === 'entry' && line.sparse, true)
    assert.equal(line.line === 'entry' && line.links, '1:2')
    assert.equal(line.line === 'entry' && line.sha256, 'ef')
  })
})
