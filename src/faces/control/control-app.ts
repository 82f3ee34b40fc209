import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyInstance } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import type { FaceOptions } from '../face.ts'

/** A Fastify whose routes are typed by their Zod schemas. */
export type ControlApp = FastifyInstance<
  FastifyInstance['server'],
  IncomingMessage,
  ServerResponse,
  FastifyInstance['log'],
  ZodTypeProvider
>

export type ControlOptions = FaceOptions
