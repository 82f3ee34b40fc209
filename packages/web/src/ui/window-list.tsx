import { useWindowVirtualizer } from '@tanstack/react-virtual'
import { type ReactNode, useEffect, useLayoutEffect, useRef, useState } from 'react'

const OVERSCAN = 8

/** A list as long as it likes that scrolls with the page: only what is near the window is drawn. */
export function WindowList<T>({
  label,
  items,
  keyOf,
  rowHeight,
  onEnd,
  children,
}: {
  label: string
  items: readonly T[]
  keyOf: (item: T) => string
  rowHeight: number
  /** Called when the end comes near. */
  onEnd?: () => void
  children: (item: T) => ReactNode
}) {
  const list = useRef<HTMLUListElement>(null)
  const [scrollMargin, setScrollMargin] = useState(0)
  useLayoutEffect(() => {
    const top = list.current?.getBoundingClientRect().top ?? 0
    setScrollMargin(Math.round(top + window.scrollY))
  }, [])
  const virtual = useWindowVirtualizer({
    count: items.length,
    estimateSize: () => rowHeight,
    getItemKey: (index) => keyFor(items, index, keyOf),
    overscan: OVERSCAN,
    scrollMargin,
  })
  const rows = virtual.getVirtualItems()
  const last = rows.at(-1)?.index ?? 0
  useEffect(() => {
    if (last >= items.length - OVERSCAN) onEnd?.()
  }, [last, items.length, onEnd])
  return (
    <ul
      ref={list}
      aria-label={label}
      style={{ height: virtual.getTotalSize(), position: 'relative' }}
    >
      {rows.map((row) => {
        const item = items[row.index]
        return (
          <li
            key={row.key}
            data-index={row.index}
            ref={virtual.measureElement}
            aria-setsize={items.length}
            aria-posinset={row.index + 1}
            style={{
              inset: '0 0 auto',
              position: 'absolute',
              transform: `translateY(${row.start - scrollMargin}px)`,
            }}
          >
            {item !== undefined && children(item)}
          </li>
        )
      })}
    </ul>
  )
}

function keyFor<T>(items: readonly T[], index: number, keyOf: (item: T) => string): string {
  const item = items[index]
  return item === undefined ? String(index) : keyOf(item)
}
