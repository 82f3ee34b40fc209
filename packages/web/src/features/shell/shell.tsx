import { isFinal, type LiveSnapshot } from '@holdfast/sdk'
import type { ReactNode } from 'react'
import { Link } from 'react-aria-components'
import { useLive } from '../../connection/connection.tsx'
import { usePlace } from '../../router/router.ts'
import { Icon, type IconName } from '../../ui/icon.tsx'
import { Mark } from '../../ui/mark.tsx'
import { ConnectionState } from './connection-state.tsx'
import './shell.css'
import { ThemeSwitch } from './theme-switch.tsx'

interface Room {
  name: string
  href: string
  icon: IconName
  /** Places that belong to it. */
  holds: readonly string[]
}

const ROOMS: readonly Room[] = [
  { name: 'Home', href: '/', icon: 'home', holds: ['/'] },
  { name: 'Operations', href: '/operations', icon: 'operations', holds: ['/operations'] },
  { name: 'Sources', href: '/sources', icon: 'folder', holds: ['/sources', '/snapshots'] },
  { name: 'Settings', href: '/settings', icon: 'settings', holds: ['/settings'] },
]

const isHere = (room: Room, path: string): boolean =>
  room.holds.some((place) => (place === '/' ? path === '/' : path.startsWith(place)))

const countLive = ({ operations }: LiveSnapshot): number =>
  [...operations.values()].filter(({ status }) => !isFinal(status)).length

function Rooms() {
  const { path } = usePlace()
  const liveCount = useLive(countLive)
  return (
    <nav className="rooms" aria-label="Rooms">
      {ROOMS.map((room) => (
        <Link
          key={room.href}
          href={room.href}
          className="room"
          {...(isHere(room, path) ? { 'aria-current': 'page' as const } : {})}
        >
          <Icon name={room.icon} size={19} />
          <span>{room.name}</span>
          {room.name === 'Operations' && liveCount > 0 && (
            <span className="room-count numbers">
              {liveCount}
              <span className="visually-hidden"> not finished</span>
            </span>
          )}
        </Link>
      ))}
    </nav>
  )
}

/** What stands around every room. */
export function Shell({ children }: { children: ReactNode }) {
  return (
    <div className="shell">
      <a className="skip" href="#main">
        Skip to the content
      </a>
      <header className="shell-head">
        <Link href="/" className="wordmark" aria-label="Holdfast, home">
          <Mark size={30} />
          <span>Holdfast</span>
        </Link>
        <Rooms />
        <div className="shell-foot">
          <ConnectionState />
          <ThemeSwitch />
        </div>
      </header>
      <main id="main" className="shell-main" tabIndex={-1}>
        {children}
      </main>
    </div>
  )
}
