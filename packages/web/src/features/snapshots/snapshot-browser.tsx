import type { SnapshotEntryWire, SnapshotWire } from '@holdfast/sdk'
import { useEffect, useRef } from 'react'
import {
  Checkbox,
  GridList,
  GridListItem,
  Link,
  ListLayout,
  type Selection,
  Virtualizer,
} from 'react-aria-components'
import { useHoldfast } from '../../connection/connection.tsx'
import { usePlace, withQuery } from '../../router/router.ts'
import { bytesText } from '../../ui/amounts.ts'
import { Button } from '../../ui/button.tsx'
import { Icon, type IconName } from '../../ui/icon.tsx'
import { Notice } from '../../ui/notice.tsx'
import { momentText } from '../../ui/times.ts'
import { sentenceOf } from '../../ui/toast.tsx'
import { startDownload } from './download.ts'
import { useEntries } from './entry-pages.ts'
import './snapshot-browser.css'
import { stepsTo } from './snapshot-words.ts'

const ROW_HEIGHT = 42

const SIGNS = {
  directory: 'folder',
  file: 'file',
  symlink: 'link',
  hardlink: 'link',
  other: 'file',
} as const satisfies Record<SnapshotEntryWire['type'], IconName>

function EntryName({ entry }: { entry: SnapshotEntryWire }) {
  const place = usePlace()
  if (entry.type === 'directory') {
    return (
      <Link className="entry-name clip" href={withQuery(place, { path: entry.path })}>
        {entry.name}
      </Link>
    )
  }
  return (
    <span className="entry-name clip" title={entry.name}>
      {entry.name}
      {entry.linkTarget !== null && <span className="faint"> → {entry.linkTarget}</span>}
    </span>
  )
}

function Entry({ entry, snapshotId }: { entry: SnapshotEntryWire; snapshotId: string }) {
  const holdfast = useHoldfast()
  const hasContent = entry.type === 'file' || entry.type === 'hardlink'
  return (
    <GridListItem id={entry.path} textValue={entry.name} className="entry numbers">
      <Checkbox slot="selection" className="check" aria-label={`Select ${entry.name}`}>
        <span className="check-box" aria-hidden="true">
          <Icon name="check" size={13} />
        </span>
      </Checkbox>
      <span className={`entry-sign entry-${entry.type}`}>
        <Icon name={SIGNS[entry.type]} size={17} />
      </span>
      <EntryName entry={entry} />
      <span className="entry-when small faint">{momentText(entry.modifiedAt)}</span>
      <span className="entry-size small">
        {entry.type === 'directory' ? '' : bytesText(entry.bytes)}
      </span>
      <span className="entry-act">
        {hasContent && (
          <Button
            look="quiet"
            icon="download"
            iconOnly
            aria-label={`Download ${entry.name}`}
            onPress={() => void startDownload(holdfast, snapshotId, entry.path)}
          />
        )}
      </span>
    </GridListItem>
  )
}

function Breadcrumb({ path, rootName }: { path: string; rootName: string }) {
  const place = usePlace()
  const steps = stepsTo(path, rootName)
  return (
    <nav className="steps" aria-label="Folder">
      <ol>
        {steps.map((step, index) => (
          <li key={step.path}>
            {index === steps.length - 1 ? (
              <span aria-current="location">{step.name}</span>
            ) : (
              <Link href={withQuery(place, { path: step.path })}>{step.name}</Link>
            )}
          </li>
        ))}
      </ol>
    </nav>
  )
}

/** Keeps what was chosen in other folders while this one is changed. */
function mergeSelection(
  basket: ReadonlySet<string>,
  here: readonly SnapshotEntryWire[],
  chosen: Selection,
): Set<string> {
  const next = new Set(basket)
  for (const { path } of here) next.delete(path)
  const added = chosen === 'all' ? here.map(({ path }) => path) : [...chosen].map(String)
  for (const path of added) next.add(path)
  return next
}

/** Walks a snapshot without restoring it; what is chosen on the way goes into one basket. */
export function SnapshotBrowser({
  snapshot,
  rootName,
  basket,
  onBasket,
}: {
  snapshot: SnapshotWire
  rootName: string
  basket: ReadonlySet<string>
  onBasket: (basket: Set<string>) => void
}) {
  const { query } = usePlace()
  const path = query.get('path') ?? ''
  const { items, hasMore, problem, readMore } = useEntries(snapshot.id, path)
  const list = useRef<HTMLDivElement>(null)
  useEffect(() => {
    // Another folder begins at its top.
    if (path !== undefined) list.current?.scrollTo(0, 0)
  }, [path])
  const heed = () => {
    const box = list.current
    if (box && hasMore && box.scrollHeight - box.scrollTop - box.clientHeight < 600) void readMore()
  }
  const here = items ?? []
  const selected = here.filter((entry) => basket.has(entry.path)).map((entry) => entry.path)
  const rows = Math.min(Math.max(here.length, items ? 1 : 3), 14)
  return (
    <div className="browser">
      <Breadcrumb path={path} rootName={rootName} />
      {problem && <Notice tone="bad">{sentenceOf(problem)}</Notice>}
      <Virtualizer layout={ListLayout} layoutOptions={{ rowHeight: ROW_HEIGHT }}>
        <GridList
          ref={list}
          aria-label={`Content of ${path === '' ? rootName : path}`}
          className="entries"
          style={{ height: rows * ROW_HEIGHT + 2 }}
          items={here}
          selectionMode="multiple"
          selectedKeys={selected}
          onSelectionChange={(chosen) => onBasket(mergeSelection(basket, here, chosen))}
          onScroll={heed}
          renderEmptyState={() => (
            <p className="entries-empty faint">{items ? 'This folder is empty.' : 'Reading…'}</p>
          )}
        >
          {(entry) => <Entry entry={entry} snapshotId={snapshot.id} />}
        </GridList>
      </Virtualizer>
    </div>
  )
}
