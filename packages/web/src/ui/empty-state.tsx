import type { ReactNode } from 'react'
import './empty-state.css'
import { Icon, type IconName } from './icon.tsx'

/** Nothing here, why, and what to do about it. */
export function EmptyState({
  icon,
  title,
  children,
  action,
}: {
  icon: IconName
  title: string
  children?: ReactNode
  action?: ReactNode
}) {
  return (
    <div className="empty">
      <span className="empty-sign">
        <Icon name={icon} size={22} />
      </span>
      <p className="empty-title">{title}</p>
      {children && <p className="soft">{children}</p>}
      {action && <div className="empty-action">{action}</div>}
    </div>
  )
}
