import { access, chmod, constants, mkdir, open, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { AppError } from '../core/errors.ts'
import { fsyncFolder, isMissing, removeFile, systemCodeOf } from './files.ts'

/** Only for whoever runs Holdfast: there are keys and other people's files in it. */
const MODE = 0o700
const TRIAL_FILE = `.trial-${process.pid}`

/**
 * Makes the data folder, and those above it that are missing, and tries that it can be
 * written. Throws a sentence that says what is in the way. One folder after the other:
 * the recursive mkdir of Node never ends where a file system has no folders to give, as /proc.
 */
export async function openDataFolder(folder: string): Promise<void> {
  try {
    for (const missing of await missingFolders(resolve(folder))) {
      await makeOne(missing)
      await fsyncFolder(dirname(missing))
    }
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK)
    const trial = join(folder, TRIAL_FILE)
    await (await open(trial, 'w', 0o600)).close()
    await removeFile(trial)
  } catch (error) {
    const code = systemCodeOf(error)
    if (error instanceof AppError || code === null) throw error
    const why = code === 'EACCES' || code === 'EPERM' ? 'the right to write there is missing' : code
    throw unusable(folder, `it cannot be made or written (${why})`, error)
  }
}

const unusable = (folder: string, why: string, cause?: unknown): AppError =>
  new AppError(
    'invalid',
    `the data folder ${folder} cannot be used: ${why}; choose another with HOLDFAST_DATA`,
    {},
    cause,
  )

/** The outermost first. */
async function missingFolders(folder: string): Promise<string[]> {
  const missing: string[] = []
  for (let at = folder; ; at = dirname(at)) {
    try {
      if ((await stat(at)).isDirectory()) return missing
      throw unusable(folder, `${at} is a file`)
    } catch (error) {
      const isAbsent = isMissing(error) || systemCodeOf(error) === 'ENOTDIR'
      if (!isAbsent || at === dirname(at)) throw error
      missing.unshift(at)
    }
  }
}

async function makeOne(folder: string): Promise<void> {
  try {
    await mkdir(folder, { mode: MODE })
  } catch (error) {
    // Another process may have made it in the same moment.
    const isThere = systemCodeOf(error) === 'EEXIST' && (await stat(folder)).isDirectory()
    if (!isThere) throw error
  }
}

/** SQLite gives the files beside its own the rights that it has. */
const BESIDE = ['', '-wal', '-shm'] as const

/** The file of the embedded database, for its owner alone: one that is made, and one that is there. */
export async function keepDatabasePrivate(file: string): Promise<void> {
  await (await open(file, 'a', 0o600)).close()
  for (const suffix of BESIDE) {
    try {
      await chmod(file + suffix, 0o600)
    } catch (error) {
      // Not ours, or on a file system without modes: it works all the same.
      if (!['ENOENT', 'EPERM', 'EROFS', 'ENOTSUP'].includes(systemCodeOf(error) ?? '')) throw error
    }
  }
}
