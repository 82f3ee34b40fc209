import type { OperationWire } from '@holdfast/sdk'
import { Badge } from '../../ui/badge.tsx'
import { statusLook } from './operation-words.ts'

export function OperationBadge({ operation }: { operation: OperationWire }) {
  const { tone, icon, word } = statusLook(operation)
  return (
    <Badge tone={tone} icon={icon}>
      {word}
    </Badge>
  )
}
