import type { EventWire, Holdfast } from '@holdfast/sdk'
import { useRecord } from '../../connection/connection.tsx'
import { Icon, type IconName } from '../../ui/icon.tsx'
import { clockSecondsText, momentText } from '../../ui/times.ts'
import './operation-history.css'
import { asSentence, phaseText } from './operation-words.ts'

const LOOKS: Readonly<Record<string, { word: string; icon: IconName; tone: string }>> = {
  submitted: { word: 'Submitted', icon: 'plus', tone: 'still' },
  started: { word: 'Started', icon: 'play', tone: 'moving' },
  phase: { word: 'Phase', icon: 'right', tone: 'still' },
  warning: { word: 'Warning', icon: 'alert', tone: 'warn' },
  intent: { word: 'Asked', icon: 'clock', tone: 'still' },
  paused: { word: 'Paused', icon: 'pause', tone: 'warn' },
  resumed: { word: 'Resumed', icon: 'play', tone: 'moving' },
  interrupted: { word: 'Interrupted', icon: 'alert', tone: 'warn' },
  completed: { word: 'Completed', icon: 'check', tone: 'good' },
  failed: { word: 'Failed', icon: 'alert', tone: 'bad' },
  cancelled: { word: 'Cancelled', icon: 'ban', tone: 'still' },
  expired: { word: 'Expired', icon: 'clock', tone: 'still' },
}

const textOf = (data: EventWire['data'], name: string): string => {
  const value = data[name]
  return typeof value === 'string' ? value : ''
}

/** The bold word of an event, and what it has to say beyond that. */
function wordsOf(event: EventWire): { word: string; detail: string } {
  const { type, data } = event
  const word = LOOKS[type]?.word ?? phaseText(type)
  const reason = textOf(data, 'statusReason') || textOf(data, 'message')
  if (type === 'phase') return { word: phaseText(textOf(data, 'phase')), detail: '' }
  if (type === 'intent') return { word: phaseText(reason), detail: '' }
  // `Completed` and `Started, running` need no second word.
  if (reason === type || reason === 'running') return { word, detail: '' }
  // `Paused by …` says its own word again.
  const rest = reason.slice(type.length)
  if (reason.startsWith(type) && /^[ :;]/.test(rest)) {
    return { word, detail: rest.replace(/^[:;]/, '').trim() }
  }
  return { word, detail: asSentence(reason) }
}

function HistoryLine({ event }: { event: EventWire }) {
  const { icon, tone } = LOOKS[event.type] ?? { icon: 'right', tone: 'still' }
  const { word, detail } = wordsOf(event)
  return (
    <li className={`history-line history-${tone}`}>
      <span className="history-sign">
        <Icon name={icon} size={13} />
      </span>
      <p className="history-words break">
        <strong>{word}</strong>
        {detail && <span className="soft"> {detail}</span>}
      </p>
      <time className="faint small numbers" dateTime={event.at} title={momentText(event.at)}>
        {clockSecondsText(event.at)}
      </time>
    </li>
  )
}

const PAGE = 200
const EVENTS_MAX = 1000

/** The history from its beginning, as far as anybody would read it. */
async function readEvents(
  holdfast: Holdfast,
  id: string,
  signal: AbortSignal,
): Promise<EventWire[]> {
  const events: EventWire[] = []
  for (;;) {
    const since = events.at(-1)?.sequence
    const from = since === undefined ? {} : { since }
    const page = await holdfast.operations.events(id, { ...from, limit: PAGE, signal })
    events.push(...page.items)
    if (page.items.length < PAGE || events.length >= EVENTS_MAX) return events
  }
}

export function OperationHistory({ id }: { id: string }) {
  const { data } = useRecord(
    `events:${id}`,
    (holdfast, signal) => readEvents(holdfast, id, signal),
    ['operation'],
  )
  if (data === undefined) return null
  return (
    <ol className="history">
      {data.map((event) => (
        <HistoryLine key={event.sequence} event={event} />
      ))}
    </ol>
  )
}
