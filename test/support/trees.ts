import { createHash } from 'node:crypto'
import {
  chmod,
  link,
  lstat,
  lutimes,
  mkdir,
  readdir,
  readFile,
  readlink,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { join, relative } from 'node:path'

/** Bytes that compress a little and repeat never; the same seed gives the same bytes. */
export function seededBytes(count: number, seed: number): Buffer {
  const bytes = Buffer.allocUnsafe(count)
  let state = (seed * 2654435761 + 1) >>> 0
  for (let index = 0; index < count; index += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    bytes[index] = (state >>> 24) & 0x7f
  }
  return bytes
}

/** A tree with what backups get wrong: empty folders, links, odd names, modes and times. */
export async function makeNastyTree(root: string): Promise<void> {
  await mkdir(join(root, 'empty'), { recursive: true })
  await mkdir(join(root, 'deep/er/and/deeper'), { recursive: true })
  await writeFile(join(root, 'plain.txt'), 'plain\n')
  await writeFile(join(root, 'zero'), '')
  await writeFile(join(root, 'deep/er/and/deeper/blob.bin'), seededBytes(300_000, 7))
  await writeFile(join(root, `${'long-'.repeat(40)}name.txt`), 'long name')
  await writeFile(join(root, 'ümläut – 日本語.txt'), 'not ASCII')
  await writeFile(join(root, 'new\nline.txt'), 'newline in its name')
  await writeFile(join(root, '-rf'), 'looks like an option')
  await writeFile(
    Buffer.concat([Buffer.from(`${root}/bad-`), Buffer.from([0xff, 0xfe])]),
    'no UTF-8',
  )
  await symlink('plain.txt', join(root, 'link'))
  await symlink('../nowhere', join(root, 'dangling'))
  await link(join(root, 'plain.txt'), join(root, 'deep/hard-link.txt'))
  await writeFile(join(root, 'script.sh'), '#!/bin/sh\n')
  await chmod(join(root, 'script.sh'), 0o750)
  await utimes(join(root, 'zero'), 1_000_000_000.25, 1_000_000_000.25)
  await utimes(join(root, 'empty'), 1_100_000_000, 1_100_000_000)
  await settleTimes(root)
}

/**
 * Gives every entry a time that Node can set again: `utimes` takes seconds in
 * floating point, which is exact to about a quarter of a microsecond only.
 */
export async function settleTimes(root: string | Buffer): Promise<void> {
  const folder = Buffer.from(root)
  for (const name of await readdir(folder, { encoding: 'buffer' })) {
    const path = Buffer.concat([folder, Buffer.from('/'), name])
    if ((await lstat(path)).isDirectory()) await settleTimes(path)
    else await settleTime(path)
  }
  await settleTime(folder)
}

async function settleTime(path: Buffer): Promise<void> {
  const { mtimeNs } = await lstat(path, { bigint: true })
  const seconds = Number(mtimeNs) / 1e9
  await lutimes(path, seconds, seconds)
}

/** One line an entry, sorted: type, mode, time, size, content hash or link target. Equal trees give equal lists. */
export async function describeTree(root: string): Promise<string[]> {
  const lines: string[] = []
  // The same bytes, one letter each: a root may have any name itself.
  const rootShown = Buffer.from(root).toString('latin1')
  const inodes = new Map<string, string>()
  async function visit(folder: Buffer): Promise<void> {
    const names = await readdir(folder, { encoding: 'buffer' })
    for (const name of names.sort(Buffer.compare)) {
      const path = Buffer.concat([folder, Buffer.from('/'), name])
      const shown = relative(rootShown, path.toString('latin1'))
      const stat = await lstat(path, { bigint: true })
      const mode = (stat.mode & 0o7777n).toString(8)
      if (stat.isDirectory()) {
        lines.push(`d ${mode} ${stat.mtimeNs} ${shown}`)
        await visit(path)
      } else if (stat.isSymbolicLink()) {
        lines.push(`l ${shown} -> ${await readlink(path, 'latin1')}`)
      } else if (stat.isFile()) {
        const sha256 = createHash('sha256')
          .update(await readFile(path))
          .digest('hex')
        const key = `${stat.dev}:${stat.ino}`
        const twin = stat.nlink > 1n ? (inodes.get(key) ?? 'first') : 'single'
        if (!inodes.has(key)) inodes.set(key, shown)
        lines.push(`f ${mode} ${stat.mtimeNs} ${stat.size} ${sha256} ${twin} ${shown}`)
      } else {
        lines.push(`? ${shown}`)
      }
    }
  }
  await visit(Buffer.from(root))
  return lines
}
