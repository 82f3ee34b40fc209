import { ButtonLink } from '../../ui/button.tsx'
import { EmptyState } from '../../ui/empty-state.tsx'
import { usePageTitle } from './page-title.ts'

export function Lost() {
  usePageTitle('No such page')
  return (
    <EmptyState
      icon="ban"
      title="There is no such page"
      action={<ButtonLink href="/">Back to the start</ButtonLink>}
    >
      The address may be mistyped, or from another version.
    </EmptyState>
  )
}
