import { useConnection, useRecord } from '../../connection/connection.tsx'
import { forgetToken } from '../../connection/session.ts'
import { Button } from '../../ui/button.tsx'
import { ChoiceCards } from '../../ui/choice.tsx'
import { Facts } from '../../ui/facts.tsx'
import { PageHead, Panel } from '../../ui/page.tsx'
import { chooseTheme, type Theme, useTheme } from '../../ui/theme.ts'
import { usePageTitle } from '../shell/page-title.ts'
import { Tokens } from './tokens.tsx'

const THEME_CHOICES = [
  { value: 'system', title: 'As the system' },
  { value: 'light', title: 'Light' },
  { value: 'dark', title: 'Dark' },
] as const satisfies readonly { value: Theme; title: string }[]

function Account() {
  const { holdfast } = useConnection()
  const { data } = useRecord('whoami', (client, signal) => client.whoami({ signal }))
  const signOut = () => {
    // The server forgets the session too; this browser does so whatever it answers.
    holdfast.sessions.end().catch(() => undefined)
    forgetToken()
  }
  return (
    <Panel
      title="Signed in as"
      aside={
        <Button icon="exit" onPress={signOut}>
          Sign out
        </Button>
      }
    >
      <Facts
        facts={[
          { name: 'Name', value: data?.name ?? '…' },
          { name: 'Account', value: data?.accountId ?? '…' },
          { name: 'Permissions', value: data?.permissions.join(', ') ?? '…' },
        ]}
      />
    </Panel>
  )
}

export function SettingsPage() {
  usePageTitle('Settings')
  return (
    <div className="page">
      <PageHead title="Settings" />
      <Account />
      <Panel title="Appearance">
        <ChoiceCards
          label="Theme"
          value={useTheme()}
          choices={THEME_CHOICES}
          onChange={chooseTheme}
        />
      </Panel>
      <Tokens />
    </div>
  )
}
