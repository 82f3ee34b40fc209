import { isUtf8 } from 'node:buffer'
import type { TarMember } from '../format/tar-header.ts'

interface Text {
  readonly text: string
  /** Base64, where the bytes are no UTF-8. */
  readonly bytes: string | null
}

function textOf(bytes: Buffer): Text {
  return { text: bytes.toString('utf8'), bytes: isUtf8(bytes) ? null : bytes.toString('base64') }
}

/**
 * The manifest line of a member without its end: a hash may follow. Put
 * together by hand because it is done for every file; `parseManifestLine`
 * reads it back in the tests.
 */
export function beginEntryLine(member: TarMember, offset: number, links: string | null): string {
  const path = textOf(member.name)
  let line = `{"line":"entry","path":${JSON.stringify(path.text)}`
  if (path.bytes !== null) line += `,"pathBytes":"${path.bytes}"`
  line +=
    `,"type":"${member.type}","bytes":${member.bytes},"mode":${member.mode}` +
    `,"uid":${member.uid},"gid":${member.gid},"modifiedAtNs":"${member.modifiedAtNs}"`
  if (member.linkTarget !== null) {
    const target = textOf(member.linkTarget)
    line += `,"linkTarget":${JSON.stringify(target.text)}`
    if (target.bytes !== null) line += `,"linkTargetBytes":"${target.bytes}"`
  }
  line += `,"offset":${offset}`
  if (member.sparse) line += ',"sparse":true'
  if (member.xattrs !== null) {
    const values = [...member.xattrs].map(([key, value]) => [key, value.toString('base64')])
    line += `,"xattrs":${JSON.stringify(Object.fromEntries(values))}`
  }
  return links === null ? line : `${line},"links":"${links}"`
}

export const endEntryLine = (line: string): string => `${line}}\n`

export const endHashedLine = (line: string, sha256: string): string =>
  `${line},"sha256":"${sha256}"}\n`
