import type { SourceWire } from '@holdfast/sdk'
import { useState } from 'react'
import { useHoldfast } from '../../connection/connection.tsx'
import { navigate } from '../../router/router.ts'
import { Button } from '../../ui/button.tsx'
import { Dialog } from '../../ui/dialog.tsx'
import { Field } from '../../ui/field.tsx'
import { Notice } from '../../ui/notice.tsx'
import { sayDone, sentenceOf } from '../../ui/toast.tsx'
import { ProtectOptions } from '../protect/protect-options.tsx'
import { COMPRESSIONS } from '../protect/protection.ts'

function startWith({ name, config }: SourceWire) {
  const ignore = config['ignore']
  return {
    name,
    ignore: typeof ignore === 'string' ? ignore : '',
    compression: COMPRESSIONS.find((kind) => kind === config['compression']) ?? ('zstd' as const),
  }
}

/** Changes how a folder is protected, from its next backup on. */
export function EditDialog({ source, onClose }: { source: SourceWire; onClose: () => void }) {
  const holdfast = useHoldfast()
  const [wanted, setWanted] = useState(() => startWith(source))
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<string | null>(null)
  const attempt = async (work: () => Promise<unknown>, done: string) => {
    setBusy(true)
    setProblem(null)
    try {
      await work()
      sayDone(done)
      onClose()
    } catch (error) {
      setProblem(sentenceOf(error))
      setBusy(false)
    }
  }
  const save = () => {
    const { name, ignore, compression } = wanted
    const { ignore: _before, ...kept } = source.config
    const config = { ...kept, compression, ...(ignore.trim() === '' ? {} : { ignore }) }
    return attempt(() => holdfast.sources.update(source.id, { name: name.trim(), config }), 'Saved')
  }
  const remove = () =>
    attempt(async () => {
      await holdfast.sources.delete(source.id)
      navigate('/sources', { replace: true })
    }, `${source.name} is not protected any more`)
  const foot = (
    <>
      <Button look="danger" isDisabled={busy} onPress={() => void remove()}>
        Stop protecting
      </Button>
      <Button onPress={onClose}>Cancel</Button>
      <Button
        look="primary"
        isDisabled={busy || wanted.name.trim() === ''}
        onPress={() => void save()}
      >
        Save
      </Button>
    </>
  )
  return (
    <Dialog
      title={`Edit ${source.name}`}
      lead="Counts from the next backup on. To stop protecting it, delete its snapshots first."
      isOpen
      wide
      onClose={onClose}
      foot={foot}
      summary={problem && <Notice tone="bad">{problem}</Notice>}
    >
      <Field
        label="Name"
        value={wanted.name}
        onChange={(name) => setWanted((before) => ({ ...before, name }))}
      />
      <ProtectOptions
        options={wanted}
        onChange={(change) => setWanted((before) => ({ ...before, ...change }))}
      />
    </Dialog>
  )
}
