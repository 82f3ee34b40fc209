import type { SourceWire } from '@holdfast/sdk'
import { useState } from 'react'
import { useConnection } from '../../connection/connection.tsx'
import { navigate } from '../../router/router.ts'
import { Button } from '../../ui/button.tsx'
import { sayProblem } from '../../ui/toast.tsx'

/** Starts a backup and goes to it. */
export function BackUpNow({ source, primary = false }: { source: SourceWire; primary?: boolean }) {
  const { holdfast, live } = useConnection()
  const [busy, setBusy] = useState(false)
  const start = async () => {
    setBusy(true)
    try {
      const operation = await holdfast.operations.submit({ kind: 'backup', sourceId: source.id })
      live.merge([operation])
      navigate(`/operations/${operation.id}`)
    } catch (error) {
      sayProblem(error)
      setBusy(false)
    }
  }
  return (
    <Button
      look={primary ? 'primary' : 'plain'}
      icon="archive"
      isDisabled={busy}
      aria-label={`Back up ${source.name} now`}
      onPress={() => void start()}
    >
      Back up now
    </Button>
  )
}
