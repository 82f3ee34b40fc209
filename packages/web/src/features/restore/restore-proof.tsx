import { Button } from '../../ui/button.tsx'
import { useVerify } from '../snapshots/use-verify.ts'

/**
 * The checks that can be asked for after a restore. There is one, of the
 * snapshot that it came from: the restored folder is not read again.
 */
export function RestoreProof({ snapshotId }: { snapshotId: string }) {
  const { busy, verify } = useVerify(snapshotId)
  return (
    <Button look="primary" icon="shield" isDisabled={busy} onPress={() => void verify()}>
      Verify the snapshot
    </Button>
  )
}
