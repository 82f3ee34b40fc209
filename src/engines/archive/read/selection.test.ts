import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parsePatterns, Selection } from './selection.ts'

const takes = (pattern: string, path: string) => new Selection([pattern]).has(path)

const CASES: readonly (readonly [pattern: string, path: string, taken: boolean])[] = [
  ['test', 'test', true],
  ['test', 'test/deep/file', true],
  ['test', 'test2', false],
  ['test', 'a/test', false],
  ['test_file.txt', 'test_file.txt.old', false],
  ['a/b', 'a/b/c', true],
  ['a/b', 'a', false],
  ['*.txt', 'x.txt', true],
  ['*.txt', 'd/x.txt', false],
  ['*.txt', 'x.txtt', false],
  ['**/*.txt', 'x.txt', true],
  ['**/*.txt', 'd/e/x.txt', true],
  ['d/**', 'd/e/f', true],
  ['d/**', 'd', false],
  ['d/**/f', 'd/f', true],
  ['d/**/f', 'd/a/b/f', true],
  ['d/**/f', 'd/a/bf', false],
  ['**', 'a/b', true],
  ['a?c', 'abc', true],
  ['a?c', 'a/c', false],
  ['wor*', 'world/region/r.0.0.mca', true],
  ['a*b', 'a*b', true],
  ['a.c', 'abc', false],
  ['[x]*', '[x]1', true],
  ['ü*', 'über', true],
  ['*ab*c', 'xabyabc', true],
  ['*ab*c', 'xabyab', false],
  ['a*', 'a', true],
  ['*?', 'a', true],
  ['?', '\u{1f600}', true],
  ['??', '\u{1f600}', false],
  ['**/a/**/b', 'a/x/a/b/c', true],
  ['**/a/**/b', 'x/a', false],
  ['**/*', 'a', true],
  ['**/a/**', 'x/a', false],
  ['**/a/**', 'x/a/y', true],
  ['a**b', 'axxb', true],
  ['a**b', 'a/b', false],
]

for (const [pattern, path, taken] of CASES) {
  test(`${pattern} ${taken ? 'takes' : 'leaves'} ${path}`, () => {
    assert.equal(takes(pattern, path), taken)
  })
}

test('a glob made to take for ever is done in a blink', () => {
  const name = 'a'.repeat(250)
  const deep = Array.from({ length: 200 }, () => name).join('/')
  const began = performance.now()
  assert.equal(takes('*a*a*a*a*a*a*a*a*ab', name), false)
  assert.equal(takes(`${'**/*a/'.repeat(5)}b`, deep), false)
  assert.equal(takes(`${'*a'.repeat(2000)}b`, name), false)
  assert.ok(performance.now() - began < 500)
})

test('names the patterns that met nothing', () => {
  const selection = new Selection(['a', 'b', '*.c'])
  selection.has('a/x')
  selection.has('x.c')
  assert.deepEqual(selection.unmatched(), ['b'])
})

test('patterns are cleaned, and the root means everything', () => {
  assert.deepEqual(parsePatterns({ paths: ['./a//b/', 'c'] }), ['a/b', 'c'])
  assert.deepEqual(parsePatterns({ paths: ['**/**/x'] }), ['**/x'])
  assert.equal(parsePatterns({ paths: ['a', './'] }), null)
  assert.equal(parsePatterns({}), null)
})

for (const paths of [
  [],
  ['/etc'],
  ['../x'],
  ['a/../../b'],
  [7],
  'a',
  ['a\0b'],
  ['*a'.repeat(11)],
  Array.from({ length: 9 }, () => `*${'a'.repeat(4000)}`),
]) {
  test(`refuses the paths ${JSON.stringify(paths).slice(0, 60)}`, () => {
    assert.throws(() => parsePatterns({ paths } as never), { code: 'invalid' })
  })
}
