import type { Readable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'

/** `latin1` is one character a byte, and loses nothing of what is no UTF-8. */
export type LineEncoding = 'utf8' | 'latin1'

export const LINE_LENGTH_MAX = 64 * 1024

/**
 * The lines of a stream, without their ends (`\n` or `\r\n`). A line that is
 * longer than `lengthMax` characters is cut there and its rest is dropped, so
 * that memory stays bounded whatever comes. Ends quietly where the stream is
 * destroyed: what was read until then has been said.
 */
export async function* readLines(
  stream: Readable,
  lengthMax = LINE_LENGTH_MAX,
  encoding: LineEncoding = 'utf8',
): AsyncGenerator<string> {
  const decoder = new StringDecoder(encoding)
  let line = ''
  for await (const chunk of chunksOf(stream)) {
    const parts = decoder.write(chunk).split('\n')
    const unfinished = parts.pop() ?? ''
    for (const part of parts) {
      yield withoutReturn((line + part).slice(0, lengthMax))
      line = ''
    }
    line = (line + unfinished).slice(0, lengthMax)
  }
  line = (line + decoder.end()).slice(0, lengthMax)
  if (line !== '') yield withoutReturn(line)
}

const withoutReturn = (line: string): string => (line.endsWith('\r') ? line.slice(0, -1) : line)

async function* chunksOf(stream: Readable): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of stream) yield chunk
  } catch (error) {
    const destroyed = error instanceof Error && 'code' in error
    if (!(destroyed && error.code === 'ERR_STREAM_PREMATURE_CLOSE')) throw error
  }
}
