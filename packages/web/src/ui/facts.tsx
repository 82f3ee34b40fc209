import type { ReactNode } from 'react'
import './facts.css'

export interface Fact {
  name: string
  value: ReactNode
  /** Takes the whole row: for paths and checksums. */
  wide?: boolean
}

export function Facts({ facts }: { facts: readonly Fact[] }) {
  return (
    <dl className="facts">
      {facts.map((fact) => (
        <div key={fact.name} className={fact.wide ? 'fact fact-wide' : 'fact'}>
          <dt>{fact.name}</dt>
          <dd className="numbers break">{fact.value}</dd>
        </div>
      ))}
    </dl>
  )
}
