import type { ReactNode } from 'react'
import { Link } from 'react-aria-components'
import './page.css'

export interface Crumb {
  name: string
  href: string
}

export function PageHead({
  title,
  crumbs = [],
  badge,
  lead,
  actions,
}: {
  title: string
  crumbs?: readonly Crumb[]
  badge?: ReactNode
  lead?: ReactNode
  actions?: ReactNode
}) {
  return (
    <header className="page-head">
      {crumbs.length > 0 && (
        <nav aria-label="Breadcrumb" className="page-crumbs">
          {crumbs.map((crumb) => (
            <Link key={crumb.href} href={crumb.href}>
              {crumb.name}
            </Link>
          ))}
        </nav>
      )}
      <div className="page-title">
        <div className="page-words">
          <div className="page-name">
            <h1 className="break">{title}</h1>
            {badge}
          </div>
          {lead && <div className="page-lead soft">{lead}</div>}
        </div>
        {actions && <div className="page-actions">{actions}</div>}
      </div>
    </header>
  )
}

export function Panel({
  title,
  aside,
  children,
  flush = false,
}: {
  title?: string
  aside?: ReactNode
  children: ReactNode
  /** Without inner space, for lists that reach the edge. */
  flush?: boolean
}) {
  return (
    <section className="panel" aria-label={title}>
      {title && (
        <header className="panel-head">
          <h2>{title}</h2>
          {aside}
        </header>
      )}
      <div className={flush ? 'panel-flush' : 'panel-body'}>{children}</div>
    </section>
  )
}
