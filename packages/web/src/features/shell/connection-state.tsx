import type { LiveState } from '@holdfast/sdk'
import { useLive } from '../../connection/connection.tsx'
import './connection-state.css'

const WORDS = {
  connecting: 'Connecting…',
  live: 'Live',
  offline: 'Reconnecting…',
} as const satisfies Record<LiveState, string>

/** Whether what is shown is the present. */
export function ConnectionState() {
  const state = useLive((snapshot) => snapshot.state)
  return (
    <p className={`connection connection-${state}`} role="status" aria-label="Connection">
      <span className="connection-dot" aria-hidden="true" />
      {WORDS[state]}
    </p>
  )
}
