import { Holdfast, HoldfastError } from '@holdfast/sdk'
import { keepToken } from '../../connection/session.ts'

/** The code of `/sign-in#code=…`: behind the `#`, so that it is in no log on the way. */
export const codeOf = (hash: string): string | null =>
  new URLSearchParams(hash.replace(/^#/, '')).get('code')

/** Trades the code of a sign-in link for a session that is kept in this browser. */
export async function signInByCode(code: string): Promise<void> {
  const answer: unknown = await new Holdfast().sessions.start(code)
  const token = (answer as { token?: unknown } | undefined)?.token
  if (typeof token !== 'string') throw new Error('the server answered without a session')
  keepToken(token)
}

/** Keeps a token that the server accepts. */
export async function signInByToken(token: string): Promise<void> {
  await new Holdfast({ token, retriesMax: 1 }).whoami()
  keepToken(token)
}

export function signInProblem(problem: unknown, byLink: boolean): string {
  const refused = problem instanceof HoldfastError && problem.status >= 400 && problem.status < 500
  if (refused && byLink) {
    return 'This sign-in link was used before or is too old. Ask for a new one, or paste a token.'
  }
  if (refused) return 'The server does not accept this token.'
  const text = problem instanceof Error ? problem.message : String(problem)
  return text.charAt(0).toUpperCase() + text.slice(1)
}
