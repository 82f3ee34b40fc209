import type { VerifyRequest } from '@holdfast/sdk'
import { useState } from 'react'
import { useConnection } from '../../connection/connection.tsx'
import { navigate } from '../../router/router.ts'
import { sayProblem } from '../../ui/toast.tsx'

/** Starts to verify a snapshot, or a folder against it, and goes there. */
export function useVerify(snapshotId: string) {
  const { holdfast, live } = useConnection()
  const [busy, setBusy] = useState(false)
  const verify = async (request: VerifyRequest = {}) => {
    setBusy(true)
    try {
      const operation = await holdfast.snapshots.verify(snapshotId, request)
      live.merge([operation])
      navigate(`/operations/${operation.id}`)
    } catch (error) {
      sayProblem(error)
      setBusy(false)
    }
  }
  return { busy, verify }
}
