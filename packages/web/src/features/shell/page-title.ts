import { isFinal, type LiveSnapshot } from '@holdfast/sdk'
import { useEffect } from 'react'
import { useLive } from '../../connection/connection.tsx'

/** The furthest figure of what runs, for the tab: `42 %`, or `…` while no total is known. */
function runningText({ operations }: LiveSnapshot): string {
  for (const { status, progress } of operations.values()) {
    if (isFinal(status) || status !== 'running') continue
    return progress.percent === null ? '… ' : `${progress.percent} % `
  }
  return ''
}

/** Names the tab after the page, and after what runs. */
export function usePageTitle(title: string, progress?: string): void {
  const running = useLive(runningText)
  const prefix = progress ?? running
  useEffect(() => {
    const lead = prefix === '' ? '' : `${prefix.trim()} · `
    document.title = `${lead}${title} · Holdfast`
  }, [prefix, title])
}
