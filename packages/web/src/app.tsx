import { useEffect } from 'react'
import { RouterProvider } from 'react-aria-components'
import { ConnectionProvider } from './connection/connection.tsx'
import { useToken } from './connection/session.ts'
import { HomePage } from './features/home/home-page.tsx'
import { OperationPage } from './features/operations/operation-page.tsx'
import { OperationsPage } from './features/operations/operations-page.tsx'
import { SettingsPage } from './features/settings/settings-page.tsx'
import { Lost } from './features/shell/lost.tsx'
import { Shell } from './features/shell/shell.tsx'
import { SignInPage } from './features/sign-in/sign-in-page.tsx'
import { SnapshotPage } from './features/snapshots/snapshot-page.tsx'
import { SourcePage } from './features/sources/source-page.tsx'
import { SourcesPage } from './features/sources/sources-page.tsx'
import { matchPath, navigate, usePlace } from './router/router.ts'
import { Toasts } from './ui/toast.tsx'

/** Each room and its address. */
function Room({ path }: { path: string }) {
  if (path === '/') return <HomePage />
  if (matchPath('/operations', path)) return <OperationsPage />
  if (matchPath('/sources', path)) return <SourcesPage />
  if (matchPath('/settings', path)) return <SettingsPage />
  const operation = matchPath('/operations/:id', path)?.['id']
  if (operation) return <OperationPage key={operation} id={operation} />
  const source = matchPath('/sources/:id', path)?.['id']
  if (source) return <SourcePage key={source} id={source} />
  const snapshot = matchPath('/snapshots/:id', path)?.['id']
  if (snapshot) return <SnapshotPage key={snapshot} id={snapshot} />
  return <Lost />
}

/** Without a session every address is the sign-in page, which leads back to it. */
function Door() {
  const { path, hash } = usePlace()
  const token = useToken()
  const byLink = path === '/sign-in' && hash !== ''
  const isIn = token !== null && path === '/sign-in' && !byLink
  useEffect(() => {
    if (isIn) navigate('/', { replace: true })
  }, [isIn])
  if (token === null || path === '/sign-in') return <SignInPage />
  return (
    <ConnectionProvider token={token}>
      <Shell>
        <Room path={path} />
      </Shell>
    </ConnectionProvider>
  )
}

export function App() {
  return (
    <RouterProvider navigate={(to) => navigate(to)}>
      <Door />
      <Toasts />
    </RouterProvider>
  )
}
