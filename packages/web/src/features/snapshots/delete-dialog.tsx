import type { SnapshotWire } from '@holdfast/sdk'
import { useState } from 'react'
import { useHoldfast } from '../../connection/connection.tsx'
import { navigate } from '../../router/router.ts'
import { Button } from '../../ui/button.tsx'
import { Dialog } from '../../ui/dialog.tsx'
import { Notice } from '../../ui/notice.tsx'
import { momentText } from '../../ui/times.ts'
import { sayDone, sentenceOf } from '../../ui/toast.tsx'

export function DeleteDialog({
  snapshot,
  isOpen,
  onClose,
}: {
  snapshot: SnapshotWire
  isOpen: boolean
  onClose: () => void
}) {
  const holdfast = useHoldfast()
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<string | null>(null)
  const remove = async () => {
    setBusy(true)
    try {
      await holdfast.snapshots.delete(snapshot.id)
      sayDone('Snapshot deleted')
      navigate(`/sources/${snapshot.sourceId}`, { replace: true })
    } catch (error) {
      setProblem(sentenceOf(error))
      setBusy(false)
    }
  }
  const foot = (
    <>
      <Button onPress={onClose}>Keep it</Button>
      <Button look="danger" icon="trash" isDisabled={busy} onPress={() => void remove()}>
        Delete snapshot
      </Button>
    </>
  )
  return (
    <Dialog
      title="Delete this snapshot?"
      role="alertdialog"
      isOpen={isOpen}
      onClose={onClose}
      foot={foot}
    >
      <p>
        The snapshot of {momentText(snapshot.createdAt)} and its archive are removed for good. The
        folder it was made from, and all other snapshots, stay as they are.
      </p>
      {problem && <Notice tone="bad">{problem}</Notice>}
    </Dialog>
  )
}
