import type { Holdfast, SnapshotWire } from '@holdfast/sdk'
import { useState } from 'react'
import { Link } from 'react-aria-components'
import { useConnection, useRecord } from '../../connection/connection.tsx'
import { useSourceNames } from '../../connection/sources.ts'
import { bytesText, countText } from '../../ui/amounts.ts'
import { Badge } from '../../ui/badge.tsx'
import { Button } from '../../ui/button.tsx'
import { Equivalent } from '../../ui/equivalent.tsx'
import { type Fact, Facts } from '../../ui/facts.tsx'
import { PageHead, Panel } from '../../ui/page.tsx'
import { Ago } from '../../ui/time.tsx'
import { momentText } from '../../ui/times.ts'
import { sayDone, sayProblem } from '../../ui/toast.tsx'
import { curlPost } from '../protect/protection.ts'
import { RestoreDialog } from '../restore/restore-dialog.tsx'
import { Missing } from '../shell/missing.tsx'
import { usePageTitle } from '../shell/page-title.ts'
import { DeleteDialog } from './delete-dialog.tsx'
import { startDownload } from './download.ts'
import { SnapshotBrowser } from './snapshot-browser.tsx'
import './snapshot-page.css'
import { verifiedLook } from './snapshot-words.ts'
import { useVerify } from './use-verify.ts'

function SnapshotFacts({ snapshot }: { snapshot: SnapshotWire }) {
  const facts: Fact[] = [
    { name: 'Content', value: bytesText(snapshot.contentBytes) },
    { name: 'Files', value: countText(snapshot.itemCount) },
    { name: 'Archive', value: bytesText(snapshot.bytes) },
    { name: 'Verified', value: snapshot.verifiedAt ? <Ago at={snapshot.verifiedAt} /> : 'never' },
    {
      name: 'Warnings',
      value:
        snapshot.warningCount === 0 ? (
          'none'
        ) : (
          <Link href={`/operations/${snapshot.operationId}`}>
            {countText(snapshot.warningCount)}
          </Link>
        ),
    },
    {
      name: 'Made by',
      value: <Link href={`/operations/${snapshot.operationId}`}>its backup</Link>,
    },
    { name: 'Pool', value: snapshot.poolId },
    { name: 'SHA-256 of the archive', value: snapshot.sha256, wide: true },
  ]
  return <Facts facts={facts} />
}

/** A pinned snapshot refuses to be deleted. */
async function togglePin(holdfast: Holdfast, { id, pinned }: SnapshotWire): Promise<void> {
  try {
    await holdfast.snapshots.pin(id, !pinned)
    sayDone(pinned ? 'Unpinned: it can be deleted now' : 'Pinned: it cannot be deleted')
  } catch (error) {
    sayProblem(error)
  }
}

function Actions({
  snapshot,
  onRestore,
  onDelete,
}: {
  snapshot: SnapshotWire
  onRestore: () => void
  onDelete: () => void
}) {
  const { holdfast } = useConnection()
  const { busy, verify } = useVerify(snapshot.id)
  return (
    <>
      <Button look="primary" icon="restore" onPress={onRestore}>
        Restore
      </Button>
      <Button icon="shield" isDisabled={busy} onPress={() => void verify()}>
        Verify
      </Button>
      <Button icon="download" onPress={() => void startDownload(holdfast, snapshot.id)}>
        Download archive
      </Button>
      <Button icon="pin" onPress={() => void togglePin(holdfast, snapshot)}>
        {snapshot.pinned ? 'Unpin' : 'Pin'}
      </Button>
      <Button look="danger" icon="trash" onPress={onDelete}>
        Delete
      </Button>
    </>
  )
}

/** What is in the basket, and what can be done with it. */
function Basket({
  count,
  onRestore,
  onClear,
}: {
  count: number
  onRestore: () => void
  onClear: () => void
}) {
  if (count === 0)
    return <span className="small faint">Select what you want back, or restore all.</span>
  return (
    <div className="basket">
      <span className="small numbers">{countText(count)} selected</span>
      <Button look="quiet" onPress={onClear}>
        Clear
      </Button>
      <Button look="primary" icon="restore" onPress={onRestore}>
        Restore selected
      </Button>
    </div>
  )
}

type Open = 'restore-all' | 'restore-selected' | 'delete' | null

export function SnapshotPage({ id }: { id: string }) {
  const { data: snapshot, problem } = useRecord(
    `snapshot:${id}`,
    (holdfast, signal) => holdfast.snapshots.get(id, { signal }),
    ['snapshot'],
  )
  const nameOf = useSourceNames()
  const [basket, setBasket] = useState<ReadonlySet<string>>(new Set())
  const [open, setOpen] = useState<Open>(null)
  const sourceName = snapshot ? nameOf(snapshot.sourceId) : 'Snapshot'
  usePageTitle(snapshot ? `${sourceName}, ${momentText(snapshot.createdAt)}` : 'Snapshot')
  if (snapshot === undefined) return <Missing what="snapshot" problem={problem} />
  const look = verifiedLook(snapshot)
  const close = () => setOpen(null)
  return (
    <div className="page">
      <PageHead
        crumbs={[
          { name: 'Sources', href: '/sources' },
          { name: sourceName, href: `/sources/${snapshot.sourceId}` },
        ]}
        title={momentText(snapshot.createdAt)}
        badge={
          <Badge tone={look.tone} icon={look.icon}>
            {look.word}
          </Badge>
        }
        actions={
          <Actions
            snapshot={snapshot}
            onRestore={() => setOpen('restore-all')}
            onDelete={() => setOpen('delete')}
          />
        }
        lead={`Everything in ${sourceName} as it was at that moment.`}
      />
      <Panel
        title="Content"
        flush
        aside={
          <Basket
            count={basket.size}
            onClear={() => setBasket(new Set())}
            onRestore={() => setOpen('restore-selected')}
          />
        }
      >
        <SnapshotBrowser
          snapshot={snapshot}
          rootName={sourceName}
          basket={basket}
          onBasket={setBasket}
        />
      </Panel>
      <Panel title="Facts">
        <SnapshotFacts snapshot={snapshot} />
      </Panel>
      <Equivalent
        cli={`holdfast restore ${id} --to /path/of/a/folder`}
        api={curlPost(`${location.origin}/api/v1/snapshots/${id}/restore`, {
          target: { path: '/path/of/a/folder' },
        })}
      />
      {(open === 'restore-all' || open === 'restore-selected') && (
        <RestoreDialog
          snapshot={snapshot}
          basket={basket}
          startWith={open === 'restore-selected' ? 'selected' : 'all'}
          onClose={close}
        />
      )}
      <DeleteDialog snapshot={snapshot} isOpen={open === 'delete'} onClose={close} />
    </div>
  )
}
