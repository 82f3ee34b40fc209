import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { Page } from 'playwright-core'
import { skipWithoutChromium, until, untilSays, withBrowser } from '../support/browser.ts'
import { buildDashboard } from '../support/dashboard.ts'
import {
  button,
  connectionOf,
  fillProtectDialog,
  idOf,
  percentOf,
  statusOf,
} from '../support/dashboard-pages.ts'
import { type Holdfast, startHoldfast } from '../support/holdfast.ts'
import { getOperation } from '../support/operations.ts'
import { describeTree, makeNastyTree, seededBytes, settleTimes } from '../support/trees.ts'

// Goal: the first five minutes of a new user, as product.md tells them, in a real browser against a
// real server that is killed in the middle. Method: 600 MB with odd names, packed with gzip, so that
// there is time to watch, pause and kill; everything is found by the names that people see.

const BIG_FILES = 15
const BIG_FILE_BYTES = 40_000_000
/** It takes some seconds; a machine that is busy with other tests gets more. */
const WORK_WITHIN_MS = 60_000
const FOLDER = 'Fotos – 写真'
const FILE = 'Größe & Maß – 日本語.bin'

const skip = skipWithoutChromium()

let folder: string
let tree: string
let expected: string[]
let server: Holdfast

const start = (env: Record<string, string> = {}) =>
  startHoldfast({ dataFolder: join(folder, 'data'), env })

async function makeTree(): Promise<void> {
  await makeNastyTree(tree)
  await mkdir(join(tree, 'big'))
  await mkdir(join(tree, FOLDER))
  const bytes = seededBytes(BIG_FILE_BYTES, 23)
  await writeFile(join(tree, FOLDER, FILE), bytes.subarray(1_000, 3_000_000))
  for (let index = 0; index < BIG_FILES; index += 1) {
    await writeFile(join(tree, 'big', `${index}.bin`), bytes.subarray(index))
  }
  await settleTimes(tree)
}

before(async () => {
  if (skip !== false) return
  folder = await mkdtemp(join(tmpdir(), 'holdfast-story-'))
  tree = join(folder, 'holiday')
  await Promise.all([makeTree(), buildDashboard()])
  expected = await describeTree(tree)
  server = await start()
})

after(async () => {
  if (skip !== false) return
  await server.stop()
  await rm(folder, { recursive: true, force: true })
})

const LINK = /http:\/\/\S+\/sign-in#code=\S+/

/** Writes down every figure that the bar of an operation ever showed, and that this page was never loaded again. */
const RECORD_FIGURES = `
  globalThis.figures = []
  const look = () => {
    const bar = document.querySelector('section[aria-label="Progress"] [role="progressbar"]')
    const figure = bar?.getAttribute('aria-valuenow') ?? null
    if (figure !== null && globalThis.figures.at(-1) !== Number(figure)) {
      globalThis.figures.push(Number(figure))
    }
  }
  new MutationObserver(look).observe(document, { subtree: true, childList: true, attributes: true })
`

const figuresOf = (page: Page) => page.evaluate<number[]>('globalThis.figures')

const beyond = (figure: number) => (percent: number | null) => percent !== null && percent > figure

test('a new user protects a folder, watches it through a crash, and gets every byte back', {
  skip,
  timeout: 180_000,
}, async () => {
  await withBrowser(async ({ context, step, picture }) => {
    const page = await context.newPage()

    await step('the link that the server printed signs in', async () => {
      const link = await until(
        'the server has printed a link',
        async () => LINK.exec(server.log())?.[0],
        (printed) => printed !== undefined,
      )
      await page.goto(String(link))
      await untilSays(connectionOf(page), /^Live$/)
      assert.equal(new URL(page.url()).hash, '', 'the code is still in the address')
    })

    await step('the empty dashboard says what to do', async () => {
      await page.getByRole('heading', { name: 'Nothing is protected yet.' }).waitFor()
      await button(page, 'Protect a folder').waitFor()
      await picture(page, '1-empty')
    })

    await step('a folder is protected, and its first backup starts', async () => {
      const dialog = await fillProtectDialog(page, { path: tree, compression: 'gzip' })
      await picture(page, '2-protect')
      await page.evaluate(RECORD_FIGURES)
      await button(dialog, 'Start first backup').click()
      await page.getByRole('heading', { name: 'Backup of holiday' }).waitFor()
    })
    const operationId = idOf(page)

    await step('the bar moves, and a pause holds it', async () => {
      await until('the bar moves', () => percentOf(page), beyond(0))
      await button(page, 'Pause').click()
      await untilSays(statusOf(page), /^Paused$/)
      await picture(page, '3-paused')
    })

    const second = await context.newPage()
    await step('a second page shows the same operation', async () => {
      await second.goto(server.url)
      const activity = second.getByRole('list', { name: 'Activity' })
      await activity.getByRole('link', { name: 'Backup of holiday' }).click()
      await untilSays(statusOf(second), /^Paused$/)
      assert.equal(idOf(second), operationId)
      const truth = (await getOperation(server, operationId)).progress.percent
      assert.equal(await percentOf(page), truth)
      assert.equal(await percentOf(second), truth)
    })

    await step('it goes on where it was, on both pages', async () => {
      const paused = (await percentOf(page)) ?? 0
      await button(second, 'Resume').click()
      await until('the first page moves on', () => percentOf(page), beyond(paused))
      await until('the second page moves on', () => percentOf(second), beyond(paused))
      await second.close()
      await picture(page, '4-running')
    })

    await step('kill -9: the page says so, and stays', async () => {
      assert.equal((await getOperation(server, operationId)).status, 'running', 'too fast to kill')
      await server.kill()
      await untilSays(connectionOf(page), /^Reconnecting…$/)
      await page.getByText(/this page goes on by itself/).waitFor()
      await picture(page, '5-killed')
    })

    await step('started again, it completes without a reload', async () => {
      const before = (await percentOf(page)) ?? 0
      server = await start({ HOLDFAST_PORT: new URL(server.url).port })
      await untilSays(connectionOf(page), /^Live$/)
      await until('the bar moves on', () => percentOf(page), beyond(before))
      await page.getByText(/\d [kMG]B\/s$/).waitFor()
      await picture(page, '5-going-on')
      await untilSays(statusOf(page), /^Completed$/, WORK_WITHIN_MS)
      await page.getByText(/^Completed; resumed \d+ times?, [\d.]+ [KMG]B not done again/).waitFor()
      await picture(page, '6-completed')
      const figures = await figuresOf(page)
      assert.ok(figures.length > 3, `the bar hardly moved: ${figures.join(' ')}`)
      assert.ok(figures.includes(before), 'the page was loaded again')
      assert.deepEqual(
        figures,
        figures.toSorted((left, right) => left - right),
        'the bar went back',
      )
      assert.equal(figures.at(-1), 100)
    })

    await step('one file comes out of the snapshot as it was', async () => {
      await page.getByRole('link', { name: 'Open snapshot' }).click()
      await page.getByRole('link', { name: FOLDER, exact: true }).click()
      const downloading = page.waitForEvent('download')
      await button(page, `Download ${FILE}`).click()
      const download = await downloading
      assert.equal(download.suggestedFilename(), FILE)
      const bytes = await readFile(await download.path())
      assert.ok(bytes.equals(await readFile(join(tree, FOLDER, FILE))), 'other bytes')
      await picture(page, '7-browsed')
    })

    const target = join(folder, 'restored – 戻る')
    await step('everything is restored elsewhere, byte for byte', async () => {
      await button(page, 'Restore').click()
      const dialog = page.getByRole('dialog', { name: 'Restore' })
      await dialog.getByRole('textbox', { name: 'Target folder' }).fill(target)
      await dialog.getByText(`will be written to ${target}.`).waitFor()
      await picture(page, '8-restore')
      await button(dialog, 'Start restore').click()
      await page.getByRole('heading', { name: 'Restore of holiday' }).waitFor()
      await untilSays(statusOf(page), /^Completed$/, WORK_WITHIN_MS)
      await page.getByText(`were written to ${target}.`).waitFor()
      await picture(page, '9-restored')
      assert.deepEqual(await describeTree(target), expected)
    })

    await step('the check that is offered then proves every byte', async () => {
      await button(page, 'Verify the snapshot').click()
      await page.getByRole('heading', { name: 'Verify of holiday' }).waitFor()
      await untilSays(statusOf(page), /^Completed$/, WORK_WITHIN_MS)
      await page.getByText('Every byte of the snapshot is what was backed up.').waitFor()
      await picture(page, '10-verified')
      await page.getByRole('link', { name: 'Home', exact: true }).click()
      await untilSays(page.getByTestId('verdict'), /protected/)
      await picture(page, '11-home')
    })
  })
})
