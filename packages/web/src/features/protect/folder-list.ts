import type { FolderWire } from '@holdfast/sdk'

type Folders = FolderWire['folders']

/** The order that was given, but what is hidden by its name behind the rest. */
export function hiddenLast(folders: Folders): Folders {
  const isHidden = ({ name }: Folders[number]) => name.startsWith('.')
  return [...folders.filter((folder) => !isHidden(folder)), ...folders.filter(isHidden)]
}

/** Where a path stands in: what can be shown while nothing is there under its last name. */
export function parentOf(path: string): string {
  const end = path.replace(/\/+$/, '').lastIndexOf('/')
  return end <= 0 ? '/' : path.slice(0, end)
}
