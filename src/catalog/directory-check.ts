import { access, constants, stat } from 'node:fs/promises'
import { AppError } from '../core/errors.ts'
import { isMissing, systemCodeOf } from '../platform/files.ts'
import { overlapOf } from '../platform/folder-identity.ts'

/**
 * Refuses a directory that can never be backed up: one that is not there, is
 * none, may not be read, or that holds or lies in a folder of this server (its
 * data and its pools): the archive would be read while it is written.
 */
export async function assertDirectory(path: string, ownFolders: readonly string[]): Promise<void> {
  const refused = (why: string, cause?: unknown) =>
    new AppError('invalid', `${path} ${why}`, { path }, cause)
  try {
    if (!(await stat(path)).isDirectory()) throw refused('is no directory')
    await access(path, constants.R_OK | constants.X_OK)
  } catch (error) {
    if (isMissing(error)) throw refused('does not exist on this server', error)
    const code = systemCodeOf(error)
    if (code === 'ENOTDIR') throw refused('is no directory', error)
    if (code === 'EACCES' || code === 'EPERM') {
      throw refused('may not be read by this server; give its user the right to read it', error)
    }
    throw error
  }
  for (const folder of ownFolders) {
    const overlap = await overlapOf(path, folder)
    if (overlap === 'inside') {
      throw refused('lies in a folder where this server keeps its own data or backups')
    }
    if (overlap === 'around') {
      throw refused(
        'holds the folder where this server keeps its own data or backups: it would archive itself; choose folders beside it, or move the data with HOLDFAST_DATA',
      )
    }
  }
}
