import type { Holdfast } from '@holdfast/sdk'
import { sayProblem } from '../../ui/toast.tsx'

/** Hands the address to the browser: it writes to disk as it comes, however large the file is. */
export async function startDownload(
  holdfast: Holdfast,
  snapshotId: string,
  path?: string,
): Promise<void> {
  try {
    const address = await holdfast.snapshots.downloadAddress(
      snapshotId,
      path === undefined ? {} : { path },
    )
    const link = document.createElement('a')
    link.href = address
    link.download = path?.split('/').at(-1) ?? ''
    link.rel = 'noreferrer'
    document.body.append(link)
    link.click()
    link.remove()
  } catch (error) {
    sayProblem(error)
  }
}
