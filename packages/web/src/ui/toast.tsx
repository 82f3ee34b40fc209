import {
  Button as AriaButton,
  Text,
  UNSTABLE_Toast as Toast,
  UNSTABLE_ToastContent as ToastContent,
  UNSTABLE_ToastQueue as ToastQueue,
  UNSTABLE_ToastRegion as ToastRegion,
} from 'react-aria-components'
import { Icon } from './icon.tsx'
import './toast.css'

interface Said {
  text: string
  tone: 'good' | 'bad'
}

const queue = new ToastQueue<Said>({ maxVisibleToasts: 3 })

/** Says in passing that something went well; it leaves by itself. */
export const sayDone = (text: string): void => {
  queue.add({ text, tone: 'good' }, { timeout: 5000 })
}

/** Says that something was refused or failed; it stays until it is closed. */
export const sayProblem = (problem: unknown): void => {
  queue.add({ text: sentenceOf(problem), tone: 'bad' })
}

/** The sentence of whatever was caught, from a capital to a full stop. */
export function sentenceOf(problem: unknown): string {
  const text = (problem instanceof Error ? problem.message : String(problem)).trim()
  const ended = text === '' || /[.!?…]$/.test(text) ? text : `${text}.`
  return ended.charAt(0).toUpperCase() + ended.slice(1)
}

export function Toasts() {
  return (
    <ToastRegion queue={queue} className="toasts">
      {({ toast }) => (
        <Toast toast={toast} className={`toast toast-${toast.content.tone}`}>
          <Icon name={toast.content.tone === 'good' ? 'check' : 'alert'} />
          <ToastContent className="toast-words">
            <Text slot="title">{toast.content.text}</Text>
          </ToastContent>
          <AriaButton slot="close" className="toast-close" aria-label="Dismiss">
            <Icon name="cross" size={14} />
          </AriaButton>
        </Toast>
      )}
    </ToastRegion>
  )
}
