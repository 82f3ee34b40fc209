/** Stands in a root for the id of the account that asks. */
export const ACCOUNT_MARK = '{account}'

const SAFE_ID = /^[A-Za-z0-9_.@:-]+$/

/** As a name of one folder: `null` where the id is none, and could lead elsewhere. */
const folderNameOf = (accountId: string): string | null =>
  SAFE_ID.test(accountId) && accountId !== '.' && accountId !== '..' ? accountId : null

/** The folders that an account may use, of those that are configured. One whose id makes no folder name has none of its own. */
export function rootsOf(configured: readonly string[], accountId: string): readonly string[] {
  const name = folderNameOf(accountId)
  return configured.flatMap((root) => {
    if (!root.includes(ACCOUNT_MARK)) return [root]
    return name === null ? [] : [root.replaceAll(ACCOUNT_MARK, name)]
  })
}
