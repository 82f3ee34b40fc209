import assert from 'node:assert/strict'
import { mkdir, mkdtemp, open, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import type { Page } from 'playwright-core'
import { skipWithoutChromium, until, untilSays, withBrowser } from '../support/browser.ts'
import { buildDashboard } from '../support/dashboard.ts'
import {
  button,
  connectionOf,
  fillProtectDialog,
  signIn,
  signInLink,
  statusOf,
} from '../support/dashboard-pages.ts'
import { type Holdfast, startHoldfast } from '../support/holdfast.ts'
import {
  createDirectorySource,
  hasEnded,
  type Operation,
  submit,
  waitForEnd,
} from '../support/operations.ts'
import { makeNastyTree, seededBytes, settleTimes } from '../support/trees.ts'

const BIG_FILES = 6
const BIG_FILE_BYTES = 40_000_000
const WORK_WITHIN_MS = 60_000

const skip = skipWithoutChromium()

let folder: string
/** Small, with all kinds of names. */
let tree: string
/** Takes gzip some seconds. */
let bigTree: string
let server: Holdfast

before(async () => {
  if (skip !== false) return
  folder = await mkdtemp(join(tmpdir(), 'holdfast-trouble-'))
  tree = join(folder, 'odd-names')
  bigTree = join(folder, 'big')
  await mkdir(bigTree)
  const bytes = seededBytes(BIG_FILE_BYTES, 31)
  for (let index = 0; index < BIG_FILES; index += 1) {
    await writeFile(join(bigTree, `${index}.bin`), bytes.subarray(index))
  }
  await makeNastyTree(tree)
  await settleTimes(tree)
  await buildDashboard()
  server = await startHoldfast({ dataFolder: join(folder, 'data') })
})

after(async () => {
  if (skip !== false) return
  await server.stop()
  await rm(folder, { recursive: true, force: true })
})

async function backUp(path: string): Promise<Operation> {
  const sourceId = await createDirectorySource(server, path)
  const { id } = await submit(server, { kind: 'backup', sourceId })
  const ended = await waitForEnd(server, id)
  assert.equal(ended.status, 'completed', JSON.stringify(ended.error))
  return ended
}

/** Turns over the bits of one byte in the middle of the newest archive of a source. */
async function damageArchive(sourceId: string): Promise<void> {
  const archives = join(server.dataFolder, 'pool', 'archives', sourceId)
  const name = (await readdir(archives)).find((file) => /\.tar(\.\w+)?$/.test(file))
  assert.ok(name, 'no archive in the pool')
  const file = await open(join(archives, name), 'r+')
  try {
    const middle = Math.floor((await file.stat()).size / 2)
    const byte = Buffer.alloc(1)
    await file.read(byte, 0, 1, middle)
    byte.writeUInt8(byte.readUInt8() ^ 0xff)
    await file.write(byte, 0, 1, middle)
  } finally {
    await file.close()
  }
}

async function stagedFiles(): Promise<string[]> {
  return await readdir(join(server.dataFolder, 'pool', '.staging')).catch(() => [])
}

/** What has the focus, as its label or its words say. */
const focusedName = (page: Page) =>
  page.evaluate<string | null>(`(() => {
    const focused = document.activeElement
    const label = focused?.labels?.[0]?.textContent
    return label ?? focused?.getAttribute('aria-label') ?? focused?.textContent ?? null
  })()`)

/** Presses Tab until what has the focus is called `name`. */
async function tabTo(page: Page, name: string): Promise<void> {
  const met: (string | null)[] = []
  for (let count = 0; count < 40; count += 1) {
    await page.keyboard.press('Tab')
    const focused = await focusedName(page)
    if (focused === name) return
    met.push(focused)
  }
  throw new Error(`Tab never reached ${name}, only ${met.join(', ')}`)
}

suite('the dashboard in trouble', { skip, timeout: 240_000 }, () => {
  test('says of a wrong and of a used sign-in link what to do instead', () =>
    withBrowser(async ({ context, step, picture }) => {
      const page = await context.newPage()
      const refusal = page.getByText(/sign-in link was used before or is too old.*paste a token/)

      await step('a wrong link', async () => {
        await page.goto(`${server.url}/sign-in#code=hfc_${'x'.repeat(43)}`)
        await refusal.waitFor()
        await picture(page, 'wrong-link')
      })

      await step('a used link', async () => {
        const link = await signInLink(server)
        await page.goto('about:blank')
        await page.goto(link)
        await untilSays(connectionOf(page), /^Live$/)
        await page.evaluate('localStorage.clear()')
        await page.goto('about:blank')
        await page.goto(link)
        await refusal.waitFor()
      })

      await step('the token is the way in that was named', async () => {
        await page.getByRole('textbox', { name: 'Token' }).fill(server.adminToken)
        await button(page, 'Sign in').click()
        await untilSays(connectionOf(page), /^Live$/)
      })
    }))

  test('refuses a folder that does not exist where it was asked for, and keeps nothing of it', () =>
    withBrowser(async ({ context, picture }) => {
      const page = await context.newPage()
      await signIn(page, server)
      const missing = join(folder, 'not-there')
      const dialog = await fillProtectDialog(page, { path: missing })
      await dialog.getByText('no such folder').waitFor()
      await button(dialog, 'Start first backup').click()
      await untilSays(
        dialog.getByRole('alert'),
        new RegExp(`^${missing} does not exist on this server`),
      )
      await picture(page, 'no-such-folder')
      const { body } = await server.call('GET', '/api/v1/sources')
      const paths = (body['items'] as { config: { path: string } }[]).map(
        ({ config }) => config.path,
      )
      assert.ok(!paths.includes(missing), 'a source was made of it')

      await dialog.getByRole('textbox', { name: 'Folder', exact: true }).fill(tree)
      await button(dialog, 'Start first backup').click()
      await untilSays(statusOf(page), /^Completed/, WORK_WITHIN_MS)
    }))

  test('shows where a damaged archive is damaged, and says so on the home page', () =>
    withBrowser(async ({ context, picture }) => {
      const { sourceId, snapshotId } = await backUp(tree)
      await damageArchive(String(sourceId))
      const page = await context.newPage()
      await signIn(page, server)
      await page.goto(`${server.url}/snapshots/${snapshotId}`)
      await button(page, 'Verify').click()
      await untilSays(statusOf(page), /^Damage found$/, WORK_WITHIN_MS)
      await untilSays(page.getByRole('alert'), /^The snapshot is damaged/)
      const warnings = page.getByRole('region', { name: /^Damages/ })
      await warnings.getByText(/another SHA-256/).waitFor()
      await picture(page, 'damage-found')

      await page.getByRole('link', { name: 'Home', exact: true }).click()
      await untilSays(page.getByTestId('verdict'), /is damaged/)
      await picture(page, 'damage-home')
      await page.goto(`${server.url}/snapshots/${snapshotId}`)
      await page.getByText('Damaged', { exact: true }).waitFor()
    }))

  test('asks before it cancels, and a cancelled backup leaves no staged file', () =>
    withBrowser(async ({ context, picture }) => {
      const sourceId = await createDirectorySource(server, bigTree, { compression: 'gzip' })
      const page = await context.newPage()
      await signIn(page, server)
      const { id } = await submit(server, { kind: 'backup', sourceId })
      await page.goto(`${server.url}/operations/${id}`)
      const question = page.getByRole('alertdialog', { name: 'Cancel this operation?' })

      await button(page, 'Cancel').click()
      await button(question, 'Keep going').click()
      await question.waitFor({ state: 'detached' })
      await until('something is staged', stagedFiles, (names) => names.length > 0)

      await button(page, 'Cancel').click()
      await picture(page, 'cancel')
      await button(question, 'Cancel operation').click()
      await untilSays(statusOf(page), /^Cancelled$/, WORK_WITHIN_MS)
      assert.ok(hasEnded(await waitForEnd(server, id)))
      assert.deepEqual(await stagedFiles(), [])
      await button(page, 'Retry').waitFor()
    }))
})

const WIDTHS = [360, 900, 1440]
const THEMES = ['light', 'dark'] as const

/** What reaches beyond the window: the page itself, or something to read or press that a panel cut off. */
const OVERFLOW = `(() => {
  const { scrollWidth, clientWidth } = document.documentElement
  const reachesOut = (element) => {
    const { left, right, width } = element.getBoundingClientRect()
    // The row of snapshots is meant to scroll sideways.
    const scrolls = element.closest('[aria-label="Snapshots"]') !== null
    return width > 0 && !scrolls && (left < 0 || right > clientWidth)
  }
  const found = [...document.querySelectorAll('a, button, input, h1, h2, h3, p, dd')]
    .filter(reachesOut)
    .map((element) => element.textContent || element.getAttribute('aria-label'))
  return scrollWidth > clientWidth ? ['the page', ...found] : found
})()`
const PAPER = 'getComputedStyle(document.body).backgroundColor'

suite('the dashboard on every screen', { skip, timeout: 120_000 }, () => {
  test('overflows nowhere and complains of nothing, in both themes', () =>
    withBrowser(async ({ context, complaints, step, picture }) => {
      const { id, sourceId, snapshotId } = await backUp(tree)
      const page = await context.newPage()
      await signIn(page, server)
      const pages = [
        ['home', '/', 'Activity'],
        ['operation', `/operations/${id}`, 'History'],
        ['source', `/sources/${sourceId}`, 'Facts'],
        ['snapshot', `/snapshots/${snapshotId}`, 'Content'],
      ] as const
      for (const [name, path, region] of pages) {
        await page.goto(new URL(path, server.url).href)
        await page.getByRole('region', { name: region }).waitFor()
        await page.getByRole('listitem').first().waitFor()
        const papers = new Set<string>()
        for (const colorScheme of THEMES) {
          await page.emulateMedia({ colorScheme })
          papers.add(await page.evaluate<string>(PAPER))
          for (const width of WIDTHS) {
            await page.setViewportSize({ width, height: 900 })
            await picture(page, `${name}-${colorScheme}-${width}`)
            await step(`${name}, ${colorScheme}, ${width} wide`, () =>
              until(
                'nothing overflows',
                () => page.evaluate<string[]>(OVERFLOW),
                (found) => found.length === 0,
                2_000,
              ),
            )
          }
        }
        assert.equal(papers.size, THEMES.length, 'both themes look the same')
      }
      assert.deepEqual(complaints, [])
    }))

  test('a folder is protected with the keyboard alone', () =>
    withBrowser(async ({ context }) => {
      const page = await context.newPage()
      await signIn(page, server)
      const dialog = page.getByRole('dialog', { name: 'Protect a folder' })
      await tabTo(page, 'Protect a folder')
      await page.keyboard.press('Enter')
      await dialog.waitFor()
      await page.keyboard.press('Escape')
      await dialog.waitFor({ state: 'detached' })
      await until(
        'the focus is back where it came from',
        () => focusedName(page),
        (name) => name === 'Protect a folder',
      )
      await page.keyboard.press('Enter')
      await dialog.waitFor()
      await tabTo(page, 'Folder')
      await page.keyboard.type(tree)
      await tabTo(page, 'Name')
      await page.keyboard.type('by hand')
      await tabTo(page, 'Start first backup')
      await page.keyboard.press('Enter')
      await page.getByRole('heading', { name: 'Backup of by hand' }).waitFor()
      await untilSays(statusOf(page), /^Completed/, WORK_WITHIN_MS)
    }))
})
