import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { suite, test } from 'node:test'

// Checks what the compiler and the linters cannot: who may import whom, what is left over, how long a file may be.
// Each rule is also tried on a line that breaks it: a check that saw nothing must not pass.

/** Each folder of src/, and what it may import besides itself: folders, or single files that are ports. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  platform: ['core'],
  store: ['core', 'platform'],
  pools: ['core', 'platform'],
  engines: ['core', 'platform', 'pools/pool.ts'],
  jobs: ['core', 'platform', 'store', 'engines/engine.ts'],
  catalog: ['core', 'platform', 'store', 'pools/pool.ts', 'engines/engine.ts'],
  uploads: ['core', 'platform', 'store', 'pools/pool.ts', 'jobs'],
  indexes: ['core', 'platform', 'store'],
  live: ['core', 'store'],
  notify: ['core', 'platform', 'store'],
  auth: ['core', 'platform', 'store'],
  faces: [
    'core',
    'platform/clock.ts',
    'platform/log.ts',
    'auth',
    'jobs',
    'catalog',
    'uploads',
    'indexes',
    'live',
    'notify',
    'pools/pools.ts',
  ],
  // The command line speaks the words of the control face, with and without a server.
  cli: ['core', 'platform', 'app.ts', 'config.ts', 'faces/control/wire.ts'],
}
/** Folders whose subfolders are peers that never import each other. */
const PEERS = ['engines', 'faces']
/** Who may import the SDK, and how: the faces take its wire types, the CLI and the dashboard all of it. */
const SDK_USERS = ['faces', 'cli', 'live']
/** A test reaches further than the code it tests: it puts real parts together. */
const isTest = (file: string) =>
  /\.(test|contract|suite|fixture|test-support|test-program|test-records)\.ts$/.test(file)
const LINES_MAX = 400

const IMPORT =
  /^\s*(?:import|export)\b[^'"]*?from\s+['"]([^'"]+)['"]|^\s*import\s+['"]([^'"]+)['"]|\bimport\(['"]([^'"]+)['"]/gm

const read = (pattern: string) =>
  globSync(pattern, { exclude: (name) => name.includes('node_modules') }).map((file) => ({
    file,
    text: readFileSync(file, 'utf8'),
  }))

const source = read('src/**/*.ts')
const web = read('packages/web/src/**/*.{ts,tsx}')
const sdk = read('packages/sdk/src/**/*.ts')
const all = [...source, ...web, ...sdk, ...read('test/**/*.ts'), ...read('scripts/*.ts')]

const importsOf = (text: string) =>
  [...text.matchAll(IMPORT)].map((match) => match[1] ?? match[2] ?? match[3] ?? '')

/** Says what is wrong with `file` of src/ importing `specifier`, or null. */
function objection(file: string, specifier: string): string | null {
  const [folder = '', peer = '', inPeer] = file.split('/').slice(1)
  if (folder.endsWith('.ts') || isTest(file)) return null // src/*.ts put the parts together
  if (!specifier.startsWith('.')) return packageObjection(file, folder, specifier)
  const target = normalize(join(dirname(file), specifier))
    .split('/')
    .slice(1)
  const [toFolder = '', toPeer = '', toInPeer] = target
  if (toFolder === folder) {
    const crosses = PEERS.includes(folder) && inPeer && toInPeer && toPeer !== peer
    return crosses ? `${file}: ${peer} may not import its peer ${toPeer}` : null
  }
  const path = target.join('/')
  const allowed = MAY_IMPORT[folder] ?? []
  if (allowed.some((entry) => path === entry || path.startsWith(`${entry}/`))) return null
  return `${file}: ${folder}/ may not import ${path}`
}

function packageObjection(file: string, folder: string, specifier: string): string | null {
  if (folder === 'core') return `${file}: core/ is pure, and imports ${specifier}`
  if (specifier.startsWith('@holdfast/') && !SDK_USERS.includes(folder)) {
    return `${file}: ${folder}/ may not import ${specifier}`
  }
  return null
}

/** The SDK stands alone; the dashboard sees the SDK and nothing of the server. */
function packageBorder(file: string, specifier: string): string | null {
  const reached = specifier.startsWith('.') ? normalize(join(dirname(file), specifier)) : specifier
  if (reached.startsWith('src/')) return `${file}: imports the server's ${reached}`
  const inSdk = file.startsWith('packages/sdk/')
  if (inSdk && !isTest(file) && !specifier.startsWith('.')) {
    return `${file}: the SDK has no dependencies, and imports ${specifier}`
  }
  return null
}

/** Spelled apart, so that this file does not meet itself. */
const LEFT_OVER = new RegExp(
  `\\b(${['FIX', 'TO'].map((word) => `${word}${word === 'FIX' ? 'ME' : 'DO'}`).join('|')})\\b`,
)
const OWN_PATH = /(^|["'`\s])\/(work|root|home)\//

suite('tidy', () => {
  test('folders import only what they may', () => {
    const objections = source.flatMap(({ file, text }) =>
      importsOf(text).flatMap((specifier) => objection(file, specifier) ?? []),
    )
    assert.deepEqual(objections, [])
    assert.ok(objection('src/core/a.ts', 'node:fs'), 'a pure folder may not import Node')
    assert.ok(objection('src/faces/control/a.ts', '../../store/rows.ts'), 'faces see no store')
    assert.ok(objection('src/engines/archive/a.ts', '../restic/b.ts'), 'engines are peers')
  })

  test('the SDK and the dashboard keep their borders', () => {
    const objections = [...sdk, ...web].flatMap(({ file, text }) =>
      importsOf(text).flatMap((specifier) => packageBorder(file, specifier) ?? []),
    )
    assert.deepEqual(objections, [])
    assert.ok(packageBorder('packages/web/src/a.ts', '../../../src/app.ts'))
    assert.ok(packageBorder('packages/sdk/src/a.ts', 'ws'))
  })

  test('nothing is left over before it is merged', () => {
    const left = all.filter(({ text }) => LEFT_OVER.test(text)).map(({ file }) => file)
    assert.deepEqual(left, [])
  })

  test('no file names a folder of one machine', () => {
    const named = all.filter(({ text }) => OWN_PATH.test(text)).map(({ file }) => file)
    assert.deepEqual(named, [])
    assert.ok(OWN_PATH.test(`open('${['', 'root', 'x'].join('/')}')`))
  })

  test(`no file is longer than ${LINES_MAX} lines`, () => {
    const long = all.filter(({ text }) => text.split('\n').length > LINES_MAX + 1)
    assert.deepEqual(
      long.map(({ file }) => file),
      [],
    )
    assert.ok(source.length > 20 && all.length > source.length, 'the check saw the files')
  })
})
