import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fateOf, XattrReader } from './xattr-source.ts'

/** Its lines come as one character a byte. */
const read = (text: string) => {
  const reader = new XattrReader()
  for (const line of Buffer.from(text).toString('latin1').split('\n')) reader.take(line)
  return reader.result(true)
}

test('reads what getfattr prints, odd names and empty values too', () => {
  const { values, lost } = read(
    [
      '# file: .',
      'user.root=0scm9vdA==',
      '',
      '# file: ./a/x\\012y\\134z',
      'user.one=0sAAE=',
      'user.empty=""',
      'user.bare',
      '',
      '# file: ünï',
      'user.odd\\075name=0sQQ==',
      '',
    ].join('\n'),
  )
  assert.deepEqual(lost, [])
  assert.deepEqual(
    values,
    new Map([
      ['', [['user.root', 'cm9vdA==']]],
      [
        'a/x\ny\\z',
        [
          ['user.one', 'AAE='],
          ['user.empty', ''],
          ['user.bare', ''],
        ],
      ],
      [Buffer.from('ünï').toString('latin1'), [['user.odd=name', 'QQ==']]],
    ]),
  )
})

test('names each path once whose attributes are too large, or are oddly named', () => {
  const large = `user.large=0s${'A'.repeat(70_000)}`
  const { values, lost } = read(
    `# file: big\n${large}\nuser.b=0sQQ==\n\n# file: ü\\134\nuser.\\377=0sQQ==\n`,
  )
  assert.deepEqual(lost, ['big', 'ü\\'])
  assert.equal(values.size, 0)
})

test('keeps no more than it may, whatever the size of the tree', () => {
  const value = 'A'.repeat(60_000)
  const lines = Array.from({ length: 400 }, (_, index) => `# file: f${index}\nuser.v=0s${value}\n`)
  const { values, lost, lostMore } = read(lines.join('\n'))
  assert.ok(values.size < 300)
  assert.equal(values.size + lost.length + lostMore, 400)
  assert.equal(lost.length, 100)
})

test('tells apart that there are none from that nobody could look', () => {
  const empty = new XattrReader()
  assert.equal(fateOf(empty.result(true)), 'none')
  assert.equal(fateOf(empty.result(false)), 'not looked for')
  assert.equal(fateOf(read('# file: a\nuser.a=0sQQ==')), 'kept')
})
