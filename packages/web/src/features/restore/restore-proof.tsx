import type { OperationWire } from '@holdfast/sdk'
import { Button } from '../../ui/button.tsx'
import { useVerify } from '../snapshots/use-verify.ts'
import { restoredFolder } from './restore-words.ts'

/**
 * The checks that can be asked for after a restore: of the folder, read back
 * and compared byte for byte, and of the snapshot that it came from.
 */
export function RestoreProof({
  operation,
  snapshotId,
}: {
  operation: OperationWire
  snapshotId: string
}) {
  const { busy, verify } = useVerify(snapshotId)
  const folder = restoredFolder(operation)
  return (
    <>
      {folder !== null && (
        <Button look="primary" icon="shield" isDisabled={busy} onPress={() => void verify(folder)}>
          Verify byte for byte
        </Button>
      )}
      <Button
        look={folder === null ? 'primary' : 'plain'}
        icon="shield"
        isDisabled={busy}
        onPress={() => void verify()}
      >
        Verify the snapshot
      </Button>
    </>
  )
}
