import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type BrowserContext, chromium, type Locator, type Page } from 'playwright-core'

const CHROMIUM = '/usr/bin/chromium'

/** Where Debian's package puts it, or `null` where that is not installed. */
export const chromiumPath = (): string | null => (existsSync(CHROMIUM) ? CHROMIUM : null)

/** For the `skip` of a test: `false`, or why there is nothing to drive. */
export const skipWithoutChromium = (): string | false =>
  chromiumPath() === null && `${CHROMIUM} is not there (Debian's package chromium)`

/** It asks nobody for anything, and runs as root in a container. */
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

const ANSWERS_WITHIN_MS = 15_000

/** Chromium with a fresh profile, whose downloads and pictures go to a folder of its own. */
export interface Browser {
  readonly context: BrowserContext
  /** What the pages complained about: console errors and uncaught ones. */
  readonly complaints: readonly string[]
  /** A part of a test: its name stands in front of what goes wrong in it. */
  step<T>(name: string, work: () => Promise<T>): Promise<T>
  /** A picture of the page as it is, whole. */
  picture(page: Page, name: string): Promise<void>
}

/**
 * Opens a browser for `drive` and ends it, however that ends. Pictures are kept,
 * and where they are is printed, only when it fails; with HOLDFAST_TEST_PICTURES
 * they are all kept in the folder that it names.
 */
export async function withBrowser(drive: (browser: Browser) => Promise<void>): Promise<void> {
  const executablePath = chromiumPath()
  if (executablePath === null) throw new Error(`${CHROMIUM} is not there`)
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-browser-'))
  const pictures = process.env['HOLDFAST_TEST_PICTURES'] ?? join(folder, 'pictures')
  await mkdir(pictures, { recursive: true })
  const chrome = await chromium.launch({
    executablePath,
    args: ARGS,
    downloadsPath: join(folder, 'downloads'),
  })
  const browser = openPages(await chrome.newContext(LOOKS), pictures)
  try {
    await drive(browser)
  } catch (error) {
    await pictureOfFailure(browser)
    process.stderr.write(`pictures of what the browser showed: ${pictures}\n`)
    await chrome.close()
    throw error
  }
  await chrome.close()
  await rm(folder, { recursive: true, force: true })
}

const LOOKS = {
  acceptDownloads: true,
  colorScheme: 'light',
  locale: 'en-GB',
  viewport: { width: 1280, height: 900 },
} as const

function openPages(context: BrowserContext, pictures: string): Browser {
  context.setDefaultTimeout(ANSWERS_WITHIN_MS)
  const complaints: string[] = []
  context.on('console', (message) => {
    if (message.type() === 'error') complaints.push(`${message.page()?.url()}: ${message.text()}`)
  })
  context.on('weberror', (error) => complaints.push(String(error.error().stack)))
  return {
    context,
    complaints,
    step: async (name, work) => {
      try {
        return await work()
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error)
        throw new Error(`${name}: ${reason}`, { cause: error })
      }
    },
    picture: async (page, name) => {
      await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true })
    },
  }
}

async function pictureOfFailure({ context, picture }: Browser): Promise<void> {
  const taken = context.pages().map((page, index) => picture(page, `failed-${index + 1}`))
  // A page that cannot be drawn any more must not hide what went wrong.
  await Promise.allSettled(taken)
}

const LOOK_AGAIN_MS = 40

/** Waits until `holds` answers true; fails with `what`, and what was last seen, when it does not. */
export async function until<T>(
  what: string,
  see: () => Promise<T>,
  holds: (seen: T) => boolean,
  withinMs = ANSWERS_WITHIN_MS,
): Promise<T> {
  const deadline = performance.now() + withinMs
  for (;;) {
    const seen = await see()
    if (holds(seen)) return seen
    if (performance.now() > deadline) {
      throw new Error(`waited ${withinMs} ms in vain until ${what}; saw ${JSON.stringify(seen)}`)
    }
    await sleep(LOOK_AGAIN_MS)
  }
}

/** Waits until the element says `wanted`; fails with what it says instead. */
export const untilSays = (
  element: Locator,
  wanted: RegExp,
  withinMs?: number,
): Promise<string | null> =>
  until(
    `${element} says ${wanted}`,
    // What is being redrawn may be gone for a moment.
    () => element.textContent({ timeout: 1_000 }).catch(() => null),
    (text) => text !== null && wanted.test(text),
    withinMs,
  )
