import { Button as AriaButton, Disclosure, DisclosurePanel, Heading } from 'react-aria-components'
import { Button } from './button.tsx'
import './equivalent.css'
import { Icon } from './icon.tsx'
import { sayDone, sayProblem } from './toast.tsx'

async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text)
    sayDone('Copied')
  } catch (error) {
    sayProblem(
      new Error('the browser did not allow copying; select the text instead', { cause: error }),
    )
  }
}

function CommandLine({ name, text }: { name: string; text: string }) {
  return (
    <div className="command">
      <span className="command-name">{name}</span>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <pre tabIndex={0}>{text}</pre>
      <Button
        look="quiet"
        icon="copy"
        iconOnly
        aria-label={`Copy the ${name} command`}
        onPress={() => void copy(text)}
      />
    </div>
  )
}

/** The same thing for a terminal and for a program. */
export function Equivalent({ cli, api }: { cli: string; api: string }) {
  return (
    <Disclosure className="equivalent">
      <Heading level={3}>
        <AriaButton slot="trigger" className="equivalent-trigger">
          <Icon name="right" size={14} />
          The same from a terminal or a program
        </AriaButton>
      </Heading>
      <DisclosurePanel className="equivalent-panel">
        <CommandLine name="CLI" text={cli} />
        <CommandLine name="API" text={api} />
      </DisclosurePanel>
    </Disclosure>
  )
}
