import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { PERMISSIONS } from '../src/core/permissions.ts'
import { TROUBLE_CODES } from '../src/engines/archive/create/troubles.ts'

// What the documents say and a test can see: settings, links, commands, and tables that repeat a list of the code.
// Each check also counts what it saw: one that saw nothing must not pass.

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (file: string): string => readFileSync(join(root, file), 'utf8')

const PAGES = [
  'README.md',
  'ARCHITECTURE.md',
  'CONTRIBUTING.md',
  ...globSync('docs/**/*.md', { cwd: root }).sort(),
]

const found = (text: string, pattern: RegExp): string[] =>
  [...text.matchAll(pattern)].map((match) => match[1] ?? '')

/** From a heading to the next one of its level or above. */
function section(text: string, heading: string): string {
  const start = text.indexOf(`\n${heading}\n`)
  assert.notEqual(start, -1, `no heading ${heading}`)
  const level = heading.indexOf(' ')
  const rest = text.slice(start + heading.length + 2)
  const end = rest.search(new RegExp(`^#{1,${level}} `, 'm'))
  return end === -1 ? rest : rest.slice(0, end)
}

/** The names in code font that stand in the first column of a table. */
const firstColumn = (text: string): string[] =>
  found(text, /^\|([^|]+)\|/gm).flatMap((cell) => found(cell, /`([^`]+)`/g))

const withoutCode = (text: string): string =>
  text.replace(/^```.*?^```/gms, '').replace(/`[^`\n]*`/g, '')

/** The anchor that a heading gets where Markdown is shown. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replaceAll(' ', '-')

const anchorsOf = (text: string): string[] =>
  found(text.replace(/^```.*?^```/gms, ''), /^#{1,6} (.+)$/gm).map(anchorOf)

/** Why a link leads nowhere; `null` where it leads somewhere. */
function brokenBecause(page: string, link: string): string | null {
  const [path = '', anchor] = link.split('#')
  const target = path === '' ? page : join(dirname(page), decodeURIComponent(path))
  if (!existsSync(join(root, target))) return `${page}: ${link}: there is no ${target}`
  if (anchor === undefined || anchorsOf(read(target)).includes(anchor)) return null
  return `${page}: ${link}: ${target} has no such heading`
}

suite('the documents', () => {
  test('list every setting that is read, and no other', () => {
    const settings = new Set(found(read('src/config.ts'), /'([A-Z]+(?:_[A-Z]+)+)'/g))
    const listed = firstColumn(section(read('README.md'), '## Settings'))
    assert.ok(settings.size > 10)
    assert.deepEqual(listed.toSorted(), [...settings].sort())
  })

  test('have no relative link that leads nowhere', () => {
    const links = PAGES.flatMap((page) =>
      found(withoutCode(read(page)), /\]\(([^)\s]+)\)/g)
        .filter((link) => !/^[a-z]+:/.test(link))
        .map((link) => ({ page, link })),
    )
    assert.ok(links.length > 20)
    assert.deepEqual(
      links.flatMap(({ page, link }) => brokenBecause(page, link) ?? []),
      [],
    )
    assert.notEqual(brokenBecause('README.md', 'docs/errors.md#not-there'), null)
    assert.notEqual(brokenBecause('docs/errors.md', 'README.md'), null)
  })

  test('name no npm command that does not exist', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
    const named = PAGES.flatMap((page) =>
      found(read(page), /\bnpm run (?:-s )?([a-z][\w:-]*)/g).map((name) => ({ page, name })),
    )
    assert.ok(named.length > 3)
    assert.deepEqual(
      named.filter(({ name }) => scripts[name] === undefined),
      [],
    )
  })

  test('begin with their one heading of the first level', () => {
    for (const page of PAGES) {
      const text = read(page).replace(/^```.*?^```/gms, '')
      assert.equal(text.match(/^# /gm)?.length, 1, page)
      assert.ok(text.startsWith('# '), page)
    }
  })

  test('list every permission, and no other', () => {
    const listed = firstColumn(section(read('docs/api.md'), '## Permissions'))
    assert.deepEqual(listed.toSorted(), [...PERMISSIONS].sort())
  })

  test('explain every warning that a backup can give', () => {
    const page = section(read('docs/archives.md'), '## What is skipped, and what is said')
    assert.deepEqual(firstColumn(page).toSorted(), [...TROUBLE_CODES].sort())
  })
})
