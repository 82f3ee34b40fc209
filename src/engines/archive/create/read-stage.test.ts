import assert from 'node:assert/strict'
import {
  appendFileSync,
  closeSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { folderIdOf } from '../../../platform/folder-identity.ts'
import { BLOCK_BYTES, decodeTarBlock, paddedBytes, type TarMember } from '../format/tar-header.ts'
import { FileContent } from './file-content.ts'
import { ReadStage } from './read-stage.ts'
import { createRing, LAST, Ring } from './ring.ts'
import { SlotWriter } from './slot-writer.ts'
import { type TroubleNews, Troubles } from './troubles.ts'

// The trees here are small enough for the ring: nobody has to take the slots while they are filled.

function inFolder(run: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-read-'))
  try {
    run(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const codesOf = (news: readonly TroubleNews[]): string[] =>
  news.map((one) => (one.is === 'warning' ? `${one.warning.code} ${one.warning.item}` : one.code))

function tarOf(ring: Ring): Buffer {
  const parts: Buffer[] = []
  for (let slot = 0; ; slot += 1) {
    const info = ring.awaitSlot(slot)
    parts.push(Buffer.from(ring.data(slot).subarray(0, info.dataBytes)))
    if ((info.flags & LAST) !== 0) return Buffer.concat(parts)
  }
}

/** Puts one file into the ring while `meddle` changes it after its first piece. */
function takeMeddled(
  bytes: number,
  meddle: (path: string) => void,
): { tar: Buffer; codes: string[] } {
  let answer: { tar: Buffer; codes: string[] } = { tar: Buffer.alloc(0), codes: [] }
  inFolder((folder) => {
    const path = join(folder, 'file')
    writeFileSync(path, Buffer.alloc(bytes, 'x'))
    const ring = new Ring(createRing(0))
    const out = new SlotWriter(ring, 0)
    const news: TroubleNews[] = []
    let meddled = false
    const content = new FileContent({
      out,
      troubles: new Troubles((one) => news.push(one)),
      control: () => true,
      done: () => {
        if (!meddled) meddle(path)
        meddled = true
      },
    })
    const fd = openSync(path, 'r')
    const found = fstatSync(fd, { bigint: true })
    const member: TarMember = {
      name: Buffer.from('file'),
      type: 'file',
      bytes,
      mode: 0o644,
      uid: 0,
      gid: 0,
      modifiedAtNs: 0n,
      linkTarget: null,
      sparse: false,
      xattrs: null,
    }
    if (bytes < 128 * 1024) meddle(path)
    meddled = bytes < 128 * 1024
    content.take(member, { path: 'file', fd, found, links: null })
    closeSync(fd)
    out.end()
    answer = { tar: tarOf(ring), codes: codesOf(news) }
  })
  return answer
}

suite('a file that changes while it is read', () => {
  for (const bytes of [5000, 3_000_001]) {
    test(`is filled up with zeros where it shrinks (${bytes} bytes)`, () => {
      const { tar, codes } = takeMeddled(bytes, (path) => truncateSync(path, 100))
      assert.deepEqual(codes, ['shrunk_while_read file'])
      assert.equal(tar.length, BLOCK_BYTES + paddedBytes(bytes))
      assert.equal(decodeTarBlock(tar.subarray(0, BLOCK_BYTES))?.bytes, bytes)
      assert.equal(tar[BLOCK_BYTES + 99], 0x78)
      assert.equal(tar.at(-1), 0)
    })

    test(`is cut where it grows (${bytes} bytes)`, () => {
      const { tar, codes } = takeMeddled(bytes, (path) => appendFileSync(path, 'y'.repeat(9000)))
      assert.deepEqual(codes, ['grown_while_read file'])
      assert.equal(tar.length, BLOCK_BYTES + paddedBytes(bytes))
      assert.equal(tar.includes('y'), false)
    })

    test(`is read to its end where its name vanishes (${bytes} bytes)`, () => {
      const { tar, codes } = takeMeddled(bytes, (path) => unlinkSync(path))
      assert.deepEqual(codes, [])
      assert.equal(tar.subarray(BLOCK_BYTES, BLOCK_BYTES + bytes).includes(0), false)
    })
  }

  test('is told when it is written over', () => {
    const { codes } = takeMeddled(3_000_001, (path) =>
      writeFileSync(path, Buffer.alloc(3_000_001, 'z')),
    )
    assert.deepEqual(codes, ['changed_while_read file'])
  })
})

suite('a tree that changes between the reading of its names and of its files', () => {
  test('loses what vanished or was replaced, with a warning for each, and leads nowhere else', () =>
    inFolder((folder) => {
      const tree = join(folder, 'tree')
      mkdirSync(join(tree, 'c-folder'), { recursive: true })
      writeFileSync(join(folder, 'secret'), 'secret')
      writeFileSync(join(tree, 'c-folder', 'x'), 'x')
      for (const name of ['a-gone', 'b-link', 'd-stays']) writeFileSync(join(tree, name), name)
      const memory = createRing(0)
      const news: TroubleNews[] = []
      const stage = new ReadStage(
        {
          ring: memory,
          root: tree,
          rootId: folderIdOf(lstatSync(tree, { bigint: true })),
          ignore: '',
          never: [],
          readyCount: 0,
          tarBytes: 0,
          bytesDone: 0,
          itemsDone: 0,
          resume: null,
          open: null,
          links: [],
          xattrs: new Map(),
        },
        (one) => {
          if (one.is !== 'position') news.push(one)
        },
      )
      unlinkSync(join(tree, 'a-gone'))
      unlinkSync(join(tree, 'b-link'))
      symlinkSync('../secret', join(tree, 'b-link'))
      renameSync(join(tree, 'c-folder'), join(folder, 'moved'))
      symlinkSync(folder, join(tree, 'c-folder'))
      assert.equal(stage.run(), true)
      const tar = tarOf(new Ring(memory))
      assert.equal(tar.includes('secret'), false)
      assert.equal(tar.includes('d-stays'), true)
      assert.deepEqual(codesOf(news), ['vanished a-gone', 'vanished b-link', 'vanished c-folder'])
    }))
})
