import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type OpenFace, openFace } from '../../../test/support/control-face.ts'
import { WHOLE } from '../../../test/support/control-rig.ts'
import { contentDisposition } from './content-disposition.ts'
import { rangeOf } from './download.ts'

let face: OpenFace
let token: string
let path: string

before(async () => {
  face = await openFace()
  token = await face.rig.token('anna')
  const { snapshotId } = await face.backUp(token, await face.protect(token))
  path = `/api/v1/snapshots/${snapshotId}/download`
})

after(async () => {
  await face.close()
})

const get = (headers: Readonly<Record<string, string>> = {}, query = '') =>
  face.call(token, 'GET', path + query, undefined, headers)

test('sends the whole archive, and says what it is', async () => {
  const answer = await get()
  assert.equal(answer.status, 200)
  assert.deepEqual(answer.bytes, WHOLE)
  assert.equal(answer.headers['content-length'], String(WHOLE.byteLength))
  assert.equal(answer.headers['accept-ranges'], 'bytes')
  assert.equal(answer.headers['etag'], `"${'ab'.repeat(32)}"`)
  assert.equal(answer.headers['content-type'], 'application/octet-stream')
  assert.equal(answer.headers['x-content-type-options'], 'nosniff')
  assert.match(String(answer.headers['content-disposition']), /^attachment; filename="/)
})

test('answers HEAD with the same headers and no bytes', async () => {
  const answer = await face.call(token, 'HEAD', path)
  assert.equal(answer.status, 200)
  assert.equal(answer.bytes.byteLength, 0)
  assert.equal(answer.headers['content-length'], String(WHOLE.byteLength))
})

test('goes on with a download that was cut off', async () => {
  const etag = `"${'ab'.repeat(32)}"`
  const rest = await get({ range: 'bytes=4000-', 'if-range': etag })
  assert.equal(rest.status, 206)
  assert.equal(rest.headers['content-range'], `bytes 4000-9999/${WHOLE.byteLength}`)
  assert.deepEqual(rest.bytes, WHOLE.subarray(4000))
  const other = await get({ range: 'bytes=4000-', 'if-range': '"another version"' })
  assert.equal(other.status, 200, 'another version is sent whole')
  assert.deepEqual(other.bytes, WHOLE)
})

test('sends nothing that the reader has already', async () => {
  for (const known of [`"${'ab'.repeat(32)}"`, `"x", W/"${'ab'.repeat(32)}"`, '*']) {
    const answer = await get({ 'if-none-match': known })
    assert.equal(answer.status, 304, known)
    assert.equal(answer.bytes.byteLength, 0)
  }
  assert.equal((await get({ 'if-none-match': '"other"' })).status, 200)
})

test('refuses a range beyond the end, and says how much there is', async () => {
  const answer = await get({ range: 'bytes=10000-' })
  assert.equal(answer.status, 416)
  assert.equal(answer.headers['content-range'], 'bytes */10000')
})

test('sends one file by its path, and finds none outside of the snapshot', async () => {
  const file = await get({}, '?path=/notes.txt')
  assert.equal(file.bytes.toString(), 'some notes')
  for (const hostile of ['../../etc/passwd', '/etc/passwd', 'notes.txt/../../x', 'a%00b']) {
    const answer = await get({}, `?path=${hostile}`)
    assert.equal(answer.status, 404, hostile)
  }
})

test('sends a file whose name is no UTF-8 by the bytes of its path', async () => {
  const name = Buffer.from([0xff, 0xfe, 0x3e])
  face.rig.reader.files.set(name.toString('latin1'), Buffer.from('raw'))
  for (const text of [name.toString('base64'), name.toString('base64url')]) {
    for (const query of [text, encodeURIComponent(text)]) {
      assert.equal((await get({}, `?pathBytes=${query}`)).bytes.toString(), 'raw', query)
    }
  }
  assert.equal((await get({}, `?pathBytes=${Buffer.from('none').toString('base64')}`)).status, 404)
  for (const query of ['pathBytes=', 'pathBytes=%00', 'pathBytes=a*b', 'pathBytes=YQ==&path=a']) {
    assert.equal((await get({}, `?${query}`)).status, 400, query)
  }
})

test('names a file whatever its name is made of, in one header line', async () => {
  const names = ['a"b.txt', 'naïve €.txt', 'x\r\nset-cookie: a=b', 'a;b\\c', '\u202etxt.exe', '😀']
  for (const name of names) {
    face.rig.reader.files.set(name, Buffer.from('x'))
    const answer = await get({}, `?path=${encodeURIComponent(name)}`)
    assert.equal(answer.status, 200, JSON.stringify(name))
    assert.equal(answer.headers['set-cookie'], undefined)
    const header = String(answer.headers['content-disposition'])
    assert.match(
      header,
      /^attachment; filename="[ !#-[\]-~]*"(; filename\*=UTF-8''[\w.%!#$&+^`|~-]+)?$/,
    )
  }
})

test('keeps the ASCII name for old readers, and the real one for all others', () => {
  assert.equal(contentDisposition('plain.txt'), 'attachment; filename="plain.txt"')
  assert.equal(
    contentDisposition('€ "rates".txt'),
    `attachment; filename="_ _rates_.txt"; filename*=UTF-8''%E2%82%AC%20%22rates%22.txt`,
  )
  assert.equal(contentDisposition('a/b/../c.txt'), 'attachment; filename="c.txt"')
  assert.equal(contentDisposition('..'), 'attachment; filename="download"')
  assert.equal(contentDisposition(''), 'attachment; filename="download"')
  assert.match(contentDisposition('\ud800.txt'), /filename\*=UTF-8''%EF%BF%BD\.txt$/)
  assert.ok(contentDisposition(`${'x'.repeat(5000)}.tar`).endsWith('x.tar"'))
})

test('reads ranges as the standard says', () => {
  const content = { etag: null, modified: null, bytes: 100 }
  const cases: [string, unknown][] = [
    ['bytes=0-9', { start: 0, end: 10 }],
    ['bytes=90-', { start: 90, end: 100 }],
    ['bytes=-10', { start: 90, end: 100 }],
    ['bytes=-1000', { start: 0, end: 100 }],
    ['bytes=0-1000', { start: 0, end: 100 }],
    ['bytes=99-99', { start: 99, end: 100 }],
    ['bytes=100-', 'unsatisfiable'],
    ['bytes=-0', 'unsatisfiable'],
    ['bytes=9-1', null],
    ['bytes=-', null],
    ['bytes=0-1,5-6', null],
    ['chapters=1-2', null],
    ['bytes=1.5-', null],
  ]
  for (const [range, expected] of cases) {
    assert.deepEqual(rangeOf({ range }, content), expected, range)
  }
  assert.equal(rangeOf({ range: 'bytes=0-' }, { ...content, bytes: 0 }), 'unsatisfiable')
})
