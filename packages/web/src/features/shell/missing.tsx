import { HoldfastError } from '@holdfast/sdk'
import { ButtonLink } from '../../ui/button.tsx'
import { EmptyState } from '../../ui/empty-state.tsx'
import { Notice } from '../../ui/notice.tsx'
import { sentenceOf } from '../../ui/toast.tsx'

/** In the place of a record that is not there: still on its way, gone, or out of reach. */
export function Missing({ what, problem }: { what: string; problem: Error | null }) {
  if (problem === null)
    return (
      <p className="faint" aria-busy="true">
        Reading the {what}…
      </p>
    )
  const gone = problem instanceof HoldfastError && problem.status === 404
  if (!gone) return <Notice tone="bad">{sentenceOf(problem)}</Notice>
  return (
    <EmptyState
      icon="ban"
      title={`There is no such ${what}`}
      action={<ButtonLink href="/">Back to the start</ButtonLink>}
    >
      It was removed, or it belongs to somebody else.
    </EmptyState>
  )
}
