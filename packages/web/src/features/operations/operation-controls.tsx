import { type Holdfast, isFinal, type OperationWire } from '@holdfast/sdk'
import { useState } from 'react'
import { useConnection } from '../../connection/connection.tsx'
import { navigate } from '../../router/router.ts'
import { Button } from '../../ui/button.tsx'
import { Dialog } from '../../ui/dialog.tsx'
import type { IconName } from '../../ui/icon.tsx'
import { sayProblem } from '../../ui/toast.tsx'

type Verb = 'pause' | 'resume' | 'cancel' | 'retry'

const VERBS = {
  pause: { name: 'Pause', icon: 'pause' },
  resume: { name: 'Resume', icon: 'play' },
  cancel: { name: 'Cancel', icon: 'stop' },
  retry: { name: 'Retry', icon: 'retry' },
} as const satisfies Record<Verb, { name: string; icon: IconName }>

/** What may be asked of an operation in this state; `cancel` is left out once it was asked. */
function verbsFor({ status, intent }: OperationWire): Verb[] {
  if (status === 'failed' || status === 'cancelled' || status === 'expired') return ['retry']
  if (isFinal(status) || intent === 'cancel') return []
  if (status === 'paused') return ['resume', 'cancel']
  return intent === 'pause' ? ['cancel'] : ['pause', 'cancel']
}

const ask = (holdfast: Holdfast, verb: Verb, id: string): Promise<OperationWire> =>
  holdfast.operations[verb](id)

function CancelDialog({
  isOpen,
  onClose,
  onConfirm,
}: {
  isOpen: boolean
  onClose: () => void
  onConfirm: () => void
}) {
  const foot = (
    <>
      <Button onPress={onClose}>Keep going</Button>
      <Button look="danger" onPress={onConfirm}>
        Cancel operation
      </Button>
    </>
  )
  return (
    <Dialog
      title="Cancel this operation?"
      role="alertdialog"
      isOpen={isOpen}
      onClose={onClose}
      foot={foot}
    >
      <p>
        What it has done so far is removed, and it cannot be resumed. To stop for a while and go on
        from here later, pause it instead.
      </p>
    </Dialog>
  )
}

export function OperationControls({
  operation,
  compact = false,
}: {
  operation: OperationWire
  compact?: boolean
}) {
  const { holdfast, live } = useConnection()
  const [busy, setBusy] = useState(false)
  const [confirming, setConfirming] = useState(false)
  const act = async (verb: Verb) => {
    setBusy(true)
    try {
      const next = await ask(holdfast, verb, operation.id)
      live.merge([next])
      if (verb === 'retry') navigate(`/operations/${next.id}`)
    } catch (error) {
      sayProblem(error)
    } finally {
      setBusy(false)
    }
  }
  const verbs = verbsFor(operation)
  if (verbs.length === 0) return null
  return (
    <div className="operation-controls">
      {verbs.map((verb) => (
        <Button
          key={verb}
          look={compact ? 'quiet' : verb === 'resume' || verb === 'retry' ? 'primary' : 'plain'}
          icon={VERBS[verb].icon}
          iconOnly={compact}
          isDisabled={busy}
          aria-label={VERBS[verb].name}
          onPress={() => (verb === 'cancel' ? setConfirming(true) : void act(verb))}
        >
          {compact ? '' : VERBS[verb].name}
        </Button>
      ))}
      <CancelDialog
        isOpen={confirming}
        onClose={() => setConfirming(false)}
        onConfirm={() => {
          setConfirming(false)
          void act('cancel')
        }}
      />
    </div>
  )
}
