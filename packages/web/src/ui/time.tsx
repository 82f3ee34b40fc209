import { useNow } from './now.ts'
import { agoText, momentText } from './times.ts'

/** `2 minutes ago`, with the exact moment on hover. */
export function Ago({ at }: { at: string }) {
  const nowMs = useNow()
  return (
    <time dateTime={at} title={momentText(at)}>
      {agoText(Date.parse(at), nowMs)}
    </time>
  )
}
