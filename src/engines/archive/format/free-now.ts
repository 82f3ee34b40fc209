/**
 * Gives the memory of a large buffer back at once. Zlib makes a new one for
 * every call, and V8, which sees only the small objects around them, lets
 * hundreds of megabytes of them lie before it collects. The buffer is empty
 * afterwards, and so is every view of the same memory: only for buffers that
 * nobody else looks at, and never for one out of the pool of `Buffer`.
 */
export function freeNow(buffer: Buffer): void {
  const memory = buffer.buffer
  const isOwn = memory.byteLength > 2 * Buffer.poolSize
  if (isOwn && memory instanceof ArrayBuffer) memory.transfer(0)
}
