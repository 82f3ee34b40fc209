import { isAbsolute, resolve } from 'node:path'
import { z } from 'zod'
import { AppError } from '../core/errors.ts'
import type { Json, JsonObject } from '../core/json.ts'
import type { SourceKind } from '../core/kinds.ts'
import type { Source } from '../core/source.ts'
import type { Secrets } from '../platform/secrets.ts'

/** How a secret is shown; sent back it means "as it was". */
export const KEPT_SECRET = '***'

const TEXT_MAX = 4_096
const IGNORE_MAX = 32 * 1024
const SECRET_MAX = 32 * 1024
const LIST_MAX = 1_000

const text = z
  .string()
  .min(1)
  .max(TEXT_MAX)
  .refine((value) => !value.includes('\0'), 'holds a NUL byte')

const absolutePath = text
  .refine((path) => isAbsolute(path), 'must be an absolute path, such as /srv/world')
  .transform((path) => resolve(path))

/** A NUL byte would end it early in what it is handed to. */
const secret = z.string().max(SECRET_MAX)

/** Kubernetes: a name is at most 253 characters of this kind (RFC 1123). */
const kubernetesName = z.string().regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/, 'no DNS name')

const setName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/, 'no name of a set')

const rsyncPlace = text.refine(
  (from) => isAbsolute(from) || /^(?:[^\s@/:-][^\s@/:]*@)?[^\s@/:-][^\s@/:]*:.+$/.test(from),
  'must be an absolute path, or user@host:/path/',
)

/** The shapes of product.md, "Sources". */
const CONFIGS = {
  directory: z.strictObject({
    path: absolutePath,
    ignore: z.string().max(IGNORE_MAX).optional(),
    compression: z.enum(['none', 'gzip', 'zstd']).optional(),
  }),
  volume: z.strictObject({
    path: absolutePath,
    namespace: kubernetesName,
    pod: kubernetesName,
    volume: kubernetesName,
    repository: text.optional(),
    password: secret.optional(),
  }),
  mysql: z.strictObject({
    host: text,
    port: z.int().min(1).max(65_535),
    user: text,
    password: secret,
    databases: z.array(text).min(1).max(LIST_MAX).optional(),
    tls: z.boolean().optional(),
  }),
  rsync: z.strictObject({
    from: rsyncPlace,
    sets: z.record(setName, text).optional(),
    sshKey: secret.optional(),
  }),
} as const satisfies Partial<Record<SourceKind, z.ZodType>>

/** Which fields of a config are secrets: sealed at rest, shown as `***`. */
const SECRET_FIELDS: Readonly<Record<SourceKind, readonly string[]>> = {
  directory: [],
  volume: ['password'],
  mysql: ['password'],
  rsync: ['sshKey'],
  index: [],
}

/** Parses what a person sent; throws `invalid` that names each field at fault and never a secret. */
export function parseSourceConfig(kind: SourceKind, config: JsonObject): JsonObject {
  if (kind === 'index') {
    throw new AppError('invalid', 'an index is made by POST /api/v1/index/create, not as a source')
  }
  const parsed = CONFIGS[kind].safeParse(config)
  if (parsed.success) return withoutAbsent(parsed.data)
  const problems = parsed.error.issues.map(({ path, message }) =>
    path.length === 0 ? message : `${path.join('.')}: ${message}`,
  )
  throw new AppError('invalid', `not the config of a ${kind} source: ${problems.join('; ')}`, {
    problems,
  })
}

const withoutAbsent = (config: Readonly<Record<string, Json | undefined>>): JsonObject =>
  Object.fromEntries(
    Object.entries(config).filter((entry): entry is [string, Json] => entry[1] !== undefined),
  )

const contextOf = (sourceId: string, field: string): string => `source:${sourceId}:${field}`

/**
 * The config as it is kept. A secret of `***` stays what it is in `previous`;
 * where there is none it is refused, because nobody can mean it as a password.
 */
export function sealConfig(
  secrets: Secrets,
  source: Pick<Source, 'id' | 'kind' | 'config'>,
  previous: JsonObject | null,
): JsonObject {
  return mapSecrets(source, (value, field) => {
    if (value !== KEPT_SECRET) return secrets.seal(value, contextOf(source.id, field))
    const kept = previous?.[field]
    if (typeof kept === 'string') return kept
    throw new AppError(
      'invalid',
      `${field} is "${KEPT_SECRET}", which stands for the one that is kept, and none is; send it in full`,
    )
  })
}

/** The source with its secrets in the clear: for the engine that works with it, and for nobody else. */
export const openSource = (secrets: Secrets, source: Source): Source => ({
  ...source,
  config: mapSecrets(source, (sealed, field) => secrets.open(sealed, contextOf(source.id, field))),
})

/** The source as people may see it. */
export const hideSecrets = (source: Source): Source => ({
  ...source,
  config: mapSecrets(source, () => KEPT_SECRET),
})

function mapSecrets(
  { kind, config }: Pick<Source, 'kind' | 'config'>,
  change: (value: string, field: string) => string,
): JsonObject {
  const changed: Record<string, Json> = { ...config }
  for (const field of SECRET_FIELDS[kind]) {
    const value = config[field]
    if (typeof value === 'string') changed[field] = change(value, field)
  }
  return changed
}
