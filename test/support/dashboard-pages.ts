import type { Locator, Page } from 'playwright-core'
import { untilSays } from './browser.ts'
import type { Holdfast } from './holdfast.ts'

// The dashboard as people and screen readers find their way in it: by roles and names.

export const button = (within: Page | Locator, name: string): Locator =>
  within.getByRole('button', { name, exact: true })

export const statusOf = (page: Page): Locator => page.getByRole('status', { name: 'Status' })

export const connectionOf = (page: Page): Locator =>
  page.getByRole('status', { name: 'Connection' })

export const barOf = (page: Page): Locator =>
  page.getByRole('region', { name: 'Progress' }).getByRole('progressbar')

/** What the bar of an operation says, or `null` while it says no figure. */
export async function percentOf(page: Page): Promise<number | null> {
  const value = await barOf(page).getAttribute('aria-valuenow')
  return value === null ? null : Number(value)
}

/** The last part of the address: the id of what the page shows. */
export const idOf = (page: Page): string => new URL(page.url()).pathname.split('/').at(-1) ?? ''

/** A link that works once, for the administrator. */
export async function signInLink(server: Holdfast): Promise<string> {
  const { status, body } = await server.call('POST', '/api/v1/sessions/link')
  if (status !== 201) throw new Error(`no sign-in link: ${JSON.stringify(body)}`)
  return String(body['url'])
}

export async function signIn(page: Page, server: Holdfast): Promise<void> {
  await page.goto(await signInLink(server))
  await untilSays(connectionOf(page), /^Live$/)
}

/** Opens *Protect a folder* and says which; it is not started yet. */
export async function fillProtectDialog(
  page: Page,
  { path, compression }: { path: string; compression?: 'gzip' | 'None' },
): Promise<Locator> {
  await button(page, 'Protect a folder').click()
  const dialog = page.getByRole('dialog', { name: 'Protect a folder' })
  await dialog.getByRole('textbox', { name: 'Folder', exact: true }).fill(path)
  if (compression !== undefined) {
    await button(dialog, 'Ignore rules and compression').click()
    // The round button itself is hidden behind its card.
    await dialog.getByText(compression, { exact: true }).click()
  }
  return dialog
}
