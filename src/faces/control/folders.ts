import type { Dirent } from 'node:fs'
import { opendir, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import type { FolderWire } from '@holdfast/sdk/wire/control'
import { z } from 'zod'
import { AppError } from '../../core/errors.ts'
import type { ControlApp, ControlOptions } from './control-app.ts'
import { folderSchema, PROBLEMS } from './schemas.ts'

/** More than a person looks through; the rest is left out. */
const FOLDERS_MAX = 2_000

/** `GET /api/v1/folders`: lets those who may protect folders of the server pick one. */
export function folderRoutes(app: ControlApp, { gate, services }: ControlOptions): void {
  app.get(
    '/api/v1/folders',
    {
      onRequest: gate.needs('sources.write'),
      schema: {
        tags: ['sources'],
        summary: 'The folders in a folder of the server',
        querystring: z.object({
          path: z
            .string()
            .max(4096)
            .optional()
            .describe(
              'Absolute. Left out: the home folder, or the folders that the account may use.',
            ),
        }),
        response: { 200: folderSchema, ...PROBLEMS },
      },
    },
    async (request) => {
      const { path } = request.query
      const caller = gate.caller(request)
      const roots = await services.sources.rootsOf(caller)
      if (roots === null || roots.includes('/')) return readFolder(path || homedir())
      if (!path || path === '/') return ownTop(roots)
      await services.sources.assertMayUse(caller, toAbsolute(path))
      const folder = await readFolder(path)
      return roots.includes(folder.path) ? { ...folder, parent: '/' } : folder
    },
  )
}

/** Stands for the root of the file system where an account may see only parts of it. */
const ownTop = (roots: readonly string[]): FolderWire => ({
  path: '/',
  parent: null,
  folders: roots.map((path) => ({ name: path, path })),
})

function toAbsolute(given: string): string {
  if (isAbsolute(given) && !given.includes('\0')) return resolve(given)
  throw new AppError('invalid', `not an absolute path: ${JSON.stringify(given.slice(0, 200))}`)
}

async function readFolder(given: string): Promise<FolderWire> {
  const path = toAbsolute(given)
  const parent = dirname(path)
  const names = await folderNames(path)
  names.sort((left, right) => left.localeCompare(right, 'en'))
  return {
    path,
    parent: parent === path ? null : parent,
    folders: names.map((name) => ({ name, path: join(path, name) })),
  }
}

async function folderNames(path: string): Promise<string[]> {
  try {
    const names: string[] = []
    for await (const entry of await opendir(path)) {
      if (await isFolder(path, entry)) names.push(entry.name)
      if (names.length === FOLDERS_MAX) break
    }
    return names
  } catch (error) {
    throw toFolderError(error, path)
  }
}

async function isFolder(path: string, entry: Dirent): Promise<boolean> {
  if (!entry.isSymbolicLink()) return entry.isDirectory()
  const target = await stat(join(path, entry.name)).catch(() => null)
  return target?.isDirectory() ?? false
}

function toFolderError(error: unknown, path: string): unknown {
  const code = (error as { code?: string }).code
  if (code === 'ENOENT') return new AppError('not_found', `no folder ${path}`, {}, error)
  if (code === 'ENOTDIR') return new AppError('invalid', `not a folder: ${path}`, {}, error)
  if (code === 'EACCES' || code === 'EPERM') {
    return new AppError('forbidden', `the server may not read ${path}`, {}, error)
  }
  return error
}
