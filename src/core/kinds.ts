/** The kinds of operation, as outside scripts name them (product.md, "Sources"). */
export const OPERATION_KINDS = [
  'backup',
  'restore',
  'verify',
  'prune',
  'upload',
  'file.move',
  'file.compress',
  'file.decompress',
  'file.encrypt',
  'file.decrypt',
  'file.convert',
  'bulk',
  'migrate',
  'custom',
] as const

export type OperationKind = (typeof OPERATION_KINDS)[number]

export const SOURCE_KINDS = ['directory', 'volume', 'mysql', 'rsync', 'index'] as const

export type SourceKind = (typeof SOURCE_KINDS)[number]
