import type { IncomingHttpHeaders } from 'node:http'
import { finished, type Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import { z } from 'zod'
import type { Snapshots } from '../../catalog/snapshots.ts'
import { AppError } from '../../core/errors.ts'
import { contentDisposition } from './content-disposition.ts'
import type { ControlApp, ControlOptions } from './control-app.ts'
import { idParams, PROBLEMS } from './schemas.ts'
import { withoutSlashes } from './snapshots.ts'

type Content = Awaited<ReturnType<Snapshots['file']>>

const downloadQuery = z
  .object({
    path: z.string().max(4096).optional().describe('One file; the whole archive when left out.'),
    pathBytes: z
      .string()
      .min(1)
      .max(8192)
      // A plus that was not escaped arrives as a space.
      .transform((text) => text.replaceAll(' ', '+'))
      .pipe(z.string().regex(/^[\w+/-]+={0,2}$/, 'expected base64'))
      .optional()
      .describe('One file whose name is no UTF-8: its `pathBytes`, as they were listed.'),
  })
  .refine(({ path, pathBytes }) => path === undefined || pathBytes === undefined, {
    message: 'name the file by path or by pathBytes',
  })

/** `GET` and `HEAD /api/v1/snapshots/:id/download`: one file of a snapshot, or all of it as it rests. */
export function downloadRoutes(app: ControlApp, { gate, services }: ControlOptions): void {
  app.route({
    method: ['GET', 'HEAD'],
    url: '/api/v1/snapshots/:id/download',
    onRequest: gate.needs('snapshots.read', { inQuery: true }),
    schema: {
      tags: ['snapshots'],
      summary: 'Download one file, or the whole archive; in ranges when asked to',
      params: idParams,
      querystring: downloadQuery,
      response: {
        200: z.any().describe('The bytes.'),
        206: z.any().describe('The bytes of the range.'),
        ...PROBLEMS,
      },
    },
    handler: async (request, reply) => {
      const caller = gate.caller(request)
      const { id } = request.params
      const { pathBytes } = request.query
      const path =
        pathBytes === undefined
          ? withoutSlashes(request.query.path ?? '')
          : Buffer.from(pathBytes, 'base64')
      const content =
        path === ''
          ? await services.snapshots.whole(caller, id)
          : await services.snapshots.file(caller, id, path)
      return await answerContent(reply, request.headers, request.method === 'HEAD', content)
    },
  })
}

interface Range {
  readonly start: number
  readonly end: number
}

async function answerContent(
  reply: FastifyReply,
  headers: IncomingHttpHeaders,
  isHead: boolean,
  content: Content,
): Promise<FastifyReply> {
  const etag = content.sha256 === null ? null : `"${content.sha256}"`
  const modified = modifiedOf(content)
  reply.header('accept-ranges', 'bytes')
  // It is somebody's own: kept by his browser at most, and asked for again each time.
  reply.header('cache-control', 'private, no-cache')
  if (etag !== null) reply.header('etag', etag)
  if (modified !== null) reply.header('last-modified', modified)
  if (isUnchanged(headers, etag)) return await reply.code(304).send()

  reply.header('content-disposition', contentDisposition(content.name))
  reply.type('application/octet-stream')
  const range = rangeOf(headers, { etag, modified, bytes: content.bytes })
  if (range === 'unsatisfiable') {
    reply.header('content-range', `bytes */${content.bytes}`).removeHeader('content-disposition')
    // RFC 9110, section 15.5.17.
    return await reply
      .code(416)
      .type('application/problem+json')
      .serializer(JSON.stringify)
      .send({
        type: 'urn:holdfast:error:invalid',
        title: 'Not a valid request',
        status: 416,
        detail: `the range is outside of the ${content.bytes} bytes`,
        code: 'invalid',
        details: { bytes: content.bytes },
        requestId: reply.request.id,
      })
  }
  const { start, end } = range ?? { start: 0, end: content.bytes }
  reply.header('content-length', end - start)
  if (range !== null) {
    reply.code(206).header('content-range', `bytes ${start}-${end - 1}/${content.bytes}`)
  }
  if (isHead || end === start) return await reply.send()
  return await reply.send(await openFor(reply, content, { start, end }))
}

/** Opens the content for as long as the reader stays: what nobody reads is not read on. */
async function openFor(reply: FastifyReply, content: Content, range: Range): Promise<Readable> {
  const gone = new AbortController()
  reply.raw.once('close', () => gone.abort(new AppError('unavailable', 'the reader has gone')))
  const stream = await content.open(range, gone.signal)
  finished(stream, () => {
    // An error ends the answer short of its content-length, which the reader sees.
  })
  return stream
}

/** HTTP dates have whole seconds; a time that no such date can say is left out. */
function modifiedOf({ modifiedAtMs }: Content): string | null {
  if (modifiedAtMs === null || modifiedAtMs < 0 || modifiedAtMs > Date.UTC(9999, 0)) return null
  return new Date(modifiedAtMs).toUTCString()
}

/** RFC 9110, section 13.1.2: compared weakly; `*` is anything that exists. */
function isUnchanged(headers: IncomingHttpHeaders, etag: string | null): boolean {
  const wanted = headers['if-none-match']
  if (wanted === undefined) return false
  if (wanted.trim() === '*') return true
  if (etag === null) return false
  return wanted.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag)
}

/**
 * RFC 9110, section 14.2: one range is honoured; what is no range of bytes, and
 * a list of several, is answered with the whole.
 */
export function rangeOf(
  headers: IncomingHttpHeaders,
  content: { etag: string | null; modified: string | null; bytes: number },
): Range | 'unsatisfiable' | null {
  const match = /^bytes=(\d*)-(\d*)$/.exec(headers.range?.trim() ?? '')
  if (match === null || !fitsIfRange(headers, content)) return null
  const [, first = '', last = ''] = match
  if (first === '' && last === '') return null
  if (first === '') {
    const bytes = Math.min(Number(last), content.bytes)
    return bytes === 0 ? 'unsatisfiable' : { start: content.bytes - bytes, end: content.bytes }
  }
  const start = Number(first)
  if (last !== '' && Number(last) < start) return null
  if (start >= content.bytes) return 'unsatisfiable'
  const end = last === '' ? content.bytes : Math.min(Number(last) + 1, content.bytes)
  return { start, end }
}

/** RFC 9110, section 13.1.5: another version is answered whole. */
function fitsIfRange(
  headers: IncomingHttpHeaders,
  { etag, modified }: { etag: string | null; modified: string | null },
): boolean {
  const wanted = headers['if-range']
  if (wanted === undefined) return true
  return wanted === etag || (modified !== null && wanted === modified)
}
