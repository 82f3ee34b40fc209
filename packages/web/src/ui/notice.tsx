import type { ReactNode } from 'react'
import type { Tone } from './badge.tsx'
import { Icon, type IconName } from './icon.tsx'
import './notice.css'

const SIGNS = {
  good: 'check',
  warn: 'alert',
  bad: 'alert',
  moving: 'clock',
  still: 'clock',
} as const satisfies Record<Tone, IconName>

/** A sentence that must be seen where it stands. */
export function Notice({
  tone,
  icon,
  children,
  action,
}: {
  tone: Tone
  icon?: IconName
  children: ReactNode
  action?: ReactNode
}) {
  return (
    <div
      className={`notice notice-${tone}${action ? ' notice-acting' : ''}`}
      role={tone === 'bad' ? 'alert' : 'note'}
    >
      <Icon name={icon ?? SIGNS[tone]} />
      <div className="notice-words">{children}</div>
      {action}
    </div>
  )
}
