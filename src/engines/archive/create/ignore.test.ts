import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { checkIgnore, IGNORE_BYTES_MAX, parseIgnore, readIgnoreFile } from './ignore.ts'

/** Patterns, then paths that are left out and paths that are kept. A slash at the end stands for a directory. */
const TABLE: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ['test', ['test', 'test/a', 'a/test/b', 'a/test', 'test/'], ['test2', 'a/test2', 'mytest']],
  ['*\n!keep.txt', ['a', 'd/', 'd/other.txt'], ['keep.txt', 'd/keep.txt', 'd/e/keep.txt']],
  ['!keep.txt\n*', ['keep.txt'], []],
  ['*.log', ['a.log', 'd/a.log', 'd/a.log/x'], ['a.log2', 'alog']],
  ['/build', ['build', 'build/x'], ['a/build', 'builds']],
  ['build/', ['build/', 'build/x', 'a/build/x'], ['build', 'rebuild/']],
  ['a/b', ['a/b', 'x/a/b', 'a/b/c'], ['ab', 'a/c/b']],
  ['a/**/b', ['a/b', 'a/x/b', 'a/x/y/b'], ['ab', 'a/bb']],
  ['**/foo', ['foo', 'a/foo', 'a/b/foo/c'], ['afoo', 'foob']],
  ['foo/**', ['foo', 'foo/x', 'foo/x/y'], ['food']],
  ['foo/*.txt', ['foo/a.txt', 'foo/a.txt/b'], ['x/foo/a.txt', 'foo/b/a.txt']],
  ['a?c', ['a?c', 'd/a?c'], ['abc', 'ac']],
  ['[ab].txt', ['a.txt', 'd/b.txt'], ['c.txt', 'ab.txt']],
  ['[^ab].txt', ['c.txt'], ['a.txt', 'b.txt']],
  ['[a-c]1', ['b1'], ['d1', '-1']],
  ['[open', ['[open'], ['open']],
  ['# a comment', [], ['# a comment', 'a comment']],
  ['\\#real', ['#real'], ['real']],
  ['\\*', ['*'], ['a']],
  ['  spaced  ', ['spaced', 'a/spaced'], ['  spaced  ']],
  ['crlf\r\nother\r', ['crlf', 'other'], ['crlf\r']],
  ['', [], ['a', 'a/b']],
  ['a.b', ['a.b'], ['aXb']],
  ['*a*b', ['xaxb', 'ab'], ['ba']],
  ['(x)+', ['(x)+'], ['x', 'xx']],
  ['d\n!d/e', ['d/', 'd/x'], ['d/e', 'd/e/f']],
  ['ünï*', ['ünïcode'], ['unicode']],
  ['a***b', ['ab', 'axxb'], ['a/b']],
  ['***/b', ['b', 'xb', 'x/b', 'x/y/b'], ['bx']],
  ['/a/**/**/b', ['a/b', 'a/x/b', 'a/x/y/b'], ['b', 'x/a/b', 'ab']],
  ['[!-~]x', ['ax', '!x'], ['éx', ' x']],
]

suite('parseIgnore', () => {
  for (const [patterns, excluded, kept] of TABLE) {
    test(`honours ${JSON.stringify(patterns)}`, () => {
      const rules = parseIgnore(patterns)
      const excludes = (path: string): boolean => {
        const directory = path.endsWith('/')
        const plain = directory ? path.slice(0, -1) : path
        return rules.excludes(Buffer.from(plain).toString('latin1'), directory)
      }
      for (const path of excluded) assert.equal(excludes(path), true, `${path} is left out`)
      for (const path of kept) assert.equal(excludes(path), false, `${path} is kept`)
    })
  }

  test('knows whether anything may be re-included', () => {
    assert.equal(parseIgnore('a\n*.b').reincludes, false)
    assert.equal(parseIgnore('a\n!b').reincludes, true)
  })

  test('takes no longer than a blink for a pattern made to take for ever', () => {
    const rules = parseIgnore(`${'*a'.repeat(30)}b\n${'**/'.repeat(20)}x`)
    const began = performance.now()
    assert.equal(rules.excludes('a'.repeat(250), false), false)
    assert.ok(performance.now() - began < 500)
  })

  test('looks at the caller while it matches, so that a long list can be stopped', () => {
    let steps = 0
    const rules = parseIgnore('*a*a*b\n'.repeat(100), () => {
      steps += 1
      if (steps === 50) throw new Error('enough')
    })
    assert.throws(() => rules.excludes('a'.repeat(250), false), /enough/)
    assert.equal(steps, 50)
  })

  test('a run of stars is one star, however long', () => {
    const rules = parseIgnore(`${'*'.repeat(60_000)}b\n${'**/'.repeat(20_000)}c`)
    const began = performance.now()
    assert.equal(rules.excludes(`${'a'.repeat(250)}b`, false), true)
    assert.equal(rules.excludes('d/e/c', false), true)
    assert.equal(rules.excludes('a'.repeat(250), false), false)
    assert.ok(performance.now() - began < 100)
  })

  test('an automaton of any length needs no deep stack', () => {
    assert.equal(parseIgnore('**/*a'.repeat(5_000)).excludes('a', false), false)
  })
})

suite('checkIgnore', () => {
  const refused = {
    'more bytes than are honoured': ['é\n'.repeat(IGNORE_BYTES_MAX / 2), /bytes/],
    'one rule made of thousands': ['**/a'.repeat(5_000), /more than 1000 characters/],
    'more rules than are honoured': ['*a*a*a*b\n'.repeat(2_001), /2001 ignore rules/],
  } as const
  for (const [what, [text, message]] of Object.entries(refused)) {
    test(`refuses ${what}`, () => {
      assert.throws(() => checkIgnore(text), { code: 'invalid', message })
    })
  }

  test('counts neither comments nor empty lines', () => {
    checkIgnore('# why\n\n'.repeat(3_000) + 'a\n'.repeat(2_000))
  })
})

suite('readIgnoreFile', () => {
  const inFolder = (run: (folder: string) => void): void => {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-ignore-'))
    try {
      run(folder)
    } finally {
      rmSync(folder, { recursive: true })
    }
  }

  for (const name of ['.pteroignore', '.pelicanignore', '.holdfastignore']) {
    test(`reads ${name}`, () =>
      inFolder((folder) => {
        writeFileSync(join(folder, name), '*.log\n')
        assert.equal(readIgnoreFile(folder), '*.log\n')
      }))
  }

  test('answers nothing for a symlink, for what is too large and where there is none', () =>
    inFolder((folder) => {
      assert.equal(readIgnoreFile(folder), '')
      writeFileSync(join(folder, 'rules'), 'secret')
      symlinkSync('rules', join(folder, '.pteroignore'))
      writeFileSync(join(folder, '.pelicanignore'), 'x'.repeat(IGNORE_BYTES_MAX + 1))
      assert.equal(readIgnoreFile(folder), '')
    }))
})
