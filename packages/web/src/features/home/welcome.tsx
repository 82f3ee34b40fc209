import { Button } from '../../ui/button.tsx'
import { Mark } from '../../ui/mark.tsx'
import './welcome.css'

const STEPS = [
  ['Pick a folder', 'Its first backup starts at once. Nothing in the folder is changed.'],
  [
    'Watch it',
    'Bytes, files, speed and time left, live. Pause it, close the tab, restart the server: it goes on.',
  ],
  [
    'Get it back',
    'Open a snapshot, browse it, take one file or restore everything, and prove that it is right.',
  ],
] as const

/** The home page while nothing is protected: it says what to do. */
export function Welcome({ onProtect }: { onProtect: () => void }) {
  return (
    <section className="welcome" aria-label="Welcome">
      <Mark size={60} />
      <h1 data-testid="verdict">Nothing is protected yet.</h1>
      <p className="welcome-lead soft">
        Choose a folder of this server. Holdfast backs it up, shows you how far it is, and survives
        whatever happens on the way.
      </p>
      <Button look="primary" icon="plus" onPress={onProtect}>
        Protect a folder
      </Button>
      <ol className="welcome-steps">
        {STEPS.map(([title, text], index) => (
          <li key={title}>
            <span className="welcome-number numbers">{index + 1}</span>
            <h2>{title}</h2>
            <p className="soft small">{text}</p>
          </li>
        ))}
      </ol>
    </section>
  )
}
