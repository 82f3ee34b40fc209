import { useState } from 'react'
import { Button } from '../../ui/button.tsx'
import { EmptyState } from '../../ui/empty-state.tsx'
import { Notice } from '../../ui/notice.tsx'
import { PageHead } from '../../ui/page.tsx'
import { sentenceOf } from '../../ui/toast.tsx'
import { SourceCard } from '../home/source-card.tsx'
import { useSourceStates } from '../home/source-states.ts'
import { ProtectDialog } from '../protect/protect-dialog.tsx'
import { usePageTitle } from '../shell/page-title.ts'

export function SourcesPage() {
  usePageTitle('Sources')
  const { data: states, problem } = useSourceStates()
  const [protecting, setProtecting] = useState(false)
  const protect = (
    <Button look="primary" icon="plus" onPress={() => setProtecting(true)}>
      Protect a folder
    </Button>
  )
  const isEmpty = states?.length === 0
  return (
    <div className="page">
      <PageHead
        title="Sources"
        lead="What is protected, worst first."
        actions={isEmpty ? undefined : protect}
      />
      {problem && states === undefined && <Notice tone="bad">{sentenceOf(problem)}</Notice>}
      {isEmpty && (
        <EmptyState icon="folder" title="Nothing is protected yet" action={protect}>
          Choose a folder of this server, and its first backup starts at once.
        </EmptyState>
      )}
      <ul className="cards" aria-label="Sources">
        {states?.map((state) => (
          <SourceCard key={state.source.id} state={state} />
        ))}
      </ul>
      <ProtectDialog isOpen={protecting} onClose={() => setProtecting(false)} />
    </div>
  )
}
