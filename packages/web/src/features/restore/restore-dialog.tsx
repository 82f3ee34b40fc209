import type { SnapshotWire } from '@holdfast/sdk'
import { useState } from 'react'
import { useConnection, useRecord } from '../../connection/connection.tsx'
import { sourcePath } from '../../connection/sources.ts'
import { navigate } from '../../router/router.ts'
import { bytesText, countOf } from '../../ui/amounts.ts'
import { Button } from '../../ui/button.tsx'
import { ChoiceCards } from '../../ui/choice.tsx'
import { Dialog } from '../../ui/dialog.tsx'
import { Equivalent } from '../../ui/equivalent.tsx'
import { Notice } from '../../ui/notice.tsx'
import { momentText } from '../../ui/times.ts'
import { sentenceOf } from '../../ui/toast.tsx'
import { FolderPicker } from '../protect/folder-picker.tsx'
import { curlPost } from '../protect/protection.ts'
import {
  cliOf,
  isReady,
  type Mode,
  planSentence,
  type RestorePlan,
  toRequest,
  type What,
  type Where,
} from './restore-plan.ts'

const MODES = [
  {
    value: 'merge',
    title: 'Merge',
    detail: 'Overwrites files of the same name. Whatever else is there stays.',
  },
  {
    value: 'replace',
    title: 'Replace',
    detail: 'Makes the folder exactly as it was. Whatever else is there is removed.',
  },
] as const satisfies readonly { value: Mode; title: string; detail: string }[]

function useRestore(snapshot: SnapshotWire) {
  const { holdfast, live } = useConnection()
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<string | null>(null)
  const restore = async (plan: RestorePlan) => {
    setBusy(true)
    setProblem(null)
    try {
      const operation = await holdfast.snapshots.restore(snapshot.id, toRequest(plan))
      live.merge([operation])
      navigate(`/operations/${operation.id}`)
    } catch (error) {
      setProblem(sentenceOf(error))
      setBusy(false)
    }
  }
  return { busy, problem, restore }
}

function Choices({
  plan,
  snapshot,
  original,
  onChange,
}: {
  plan: RestorePlan
  snapshot: SnapshotWire
  original: string
  onChange: (change: Partial<RestorePlan>) => void
}) {
  const all = `${countOf(snapshot.itemCount, 'file')}, ${bytesText(snapshot.contentBytes)}`
  const none = plan.paths.length === 0
  return (
    <>
      <ChoiceCards<What>
        label="What"
        value={plan.what}
        choices={[
          { value: 'all', title: 'Everything', detail: all },
          {
            value: 'selected',
            title: 'Selected only',
            detail: none ? 'Select in the list first.' : countOf(plan.paths.length, 'item'),
            isDisabled: none,
          },
        ]}
        onChange={(what) => onChange({ what })}
      />
      <ChoiceCards<Where>
        label="Where to"
        value={plan.where}
        choices={[
          { value: 'elsewhere', title: 'Another folder', detail: 'The original stays untouched.' },
          { value: 'original', title: 'Original place', detail: original },
        ]}
        onChange={(where) => onChange({ where })}
      />
      {plan.where === 'elsewhere' && (
        <FolderPicker
          label="Target folder"
          path={plan.path}
          onChange={(path) => onChange({ path })}
          hint="It is made when it is not there yet."
          missing="is not there yet, and is made"
        />
      )}
      <ChoiceCards<Mode>
        label="What happens to files that are there"
        value={plan.mode}
        choices={MODES}
        onChange={(mode) => onChange({ mode })}
      />
    </>
  )
}

/** From a snapshot back to files: what, where to, and what happens to those that are there. */
export function RestoreDialog({
  snapshot,
  basket,
  startWith,
  onClose,
}: {
  snapshot: SnapshotWire
  basket: ReadonlySet<string>
  startWith: What
  onClose: () => void
}) {
  const { data: source } = useRecord(
    `source:${snapshot.sourceId}`,
    (holdfast, signal) => holdfast.sources.get(snapshot.sourceId, { signal }),
    ['source'],
  )
  const [plan, setPlan] = useState<RestorePlan>(() => ({
    what: startWith,
    paths: [...basket].sort(),
    where: 'elsewhere',
    path: '',
    mode: 'merge',
  }))
  const { busy, problem, restore } = useRestore(snapshot)
  const original = source ? sourcePath(source) : 'the original folder'
  const foot = (
    <>
      <Button onPress={onClose}>Cancel</Button>
      <Button
        look="primary"
        icon="restore"
        isDisabled={busy || !isReady(plan)}
        onPress={() => void restore(plan)}
      >
        Start restore
      </Button>
    </>
  )
  const summary = problem ? (
    <Notice tone="bad">{problem}</Notice>
  ) : (
    <Notice tone={plan.mode === 'replace' ? 'warn' : 'moving'}>
      {planSentence(plan, snapshot, original)}
    </Notice>
  )
  const address = `${location.origin}/api/v1/snapshots/${snapshot.id}/restore`
  return (
    <Dialog
      title="Restore"
      lead={`From the snapshot of ${momentText(snapshot.createdAt)}. It is checked in full before anything is written.`}
      isOpen
      wide
      onClose={onClose}
      foot={foot}
      summary={summary}
    >
      <Choices
        plan={plan}
        snapshot={snapshot}
        original={original}
        onChange={(change) => setPlan((before) => ({ ...before, ...change }))}
      />
      <Equivalent cli={cliOf(plan, snapshot.id)} api={curlPost(address, toRequest(plan))} />
    </Dialog>
  )
}
