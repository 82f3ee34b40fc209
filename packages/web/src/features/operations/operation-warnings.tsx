import { useRecord } from '../../connection/connection.tsx'
import { Icon } from '../../ui/icon.tsx'
import { Panel } from '../../ui/page.tsx'
import './operation-warnings.css'
import { asSentence } from './operation-words.ts'

const SHOWN_MAX = 100

/** What was not as it should be, although the work went on. Nothing is drawn while there is nothing. */
export function OperationWarnings({
  id,
  name,
  areDamages,
}: {
  id: string
  name: string
  areDamages: boolean
}) {
  const { data } = useRecord(
    `warnings:${id}`,
    (holdfast, signal) => holdfast.operations.warnings(id, { limit: SHOWN_MAX, signal }),
    ['operation'],
  )
  if (data === undefined || data.items.length === 0) return null
  const more = data.nextCursor === null ? '' : ', the first of more'
  return (
    <Panel title={`${name} (${data.items.length}${more})`} flush>
      <ul className={areDamages ? 'warnings warnings-damages' : 'warnings'}>
        {data.items.map((warning, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: warnings are only ever added at the end
          <li key={index}>
            <Icon name="alert" size={15} />
            <div>
              <p>{asSentence(warning.message)}</p>
              {warning.item && <p className="mono small faint break">{warning.item}</p>}
            </div>
          </li>
        ))}
      </ul>
    </Panel>
  )
}
