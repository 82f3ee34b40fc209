import type { TokenWire } from '@holdfast/sdk'
import { useState } from 'react'
import { useHoldfast, useRecord } from '../../connection/connection.tsx'
import { Button } from '../../ui/button.tsx'
import { Field } from '../../ui/field.tsx'
import { Notice } from '../../ui/notice.tsx'
import { Panel } from '../../ui/page.tsx'
import { Ago } from '../../ui/time.tsx'
import { sayDone, sayProblem, sentenceOf } from '../../ui/toast.tsx'
import './tokens.css'

const TOKENS_SHOWN = 100

function TokenLine({ token, onRevoke }: { token: TokenWire; onRevoke: () => void }) {
  return (
    <li className="token">
      <div>
        <p className="token-name">{token.name}</p>
        <p className="small faint break">
          {token.permissions.join(', ')} · made <Ago at={token.createdAt} />
        </p>
      </div>
      {token.revokedAt === null ? (
        <Button look="danger" aria-label={`Revoke ${token.name}`} onPress={onRevoke}>
          Revoke
        </Button>
      ) : (
        <span className="small faint">revoked</span>
      )}
    </li>
  )
}

function NewToken({ onMade }: { onMade: () => void }) {
  const holdfast = useHoldfast()
  const [name, setName] = useState('')
  const [made, setMade] = useState<string | null>(null)
  const create = async () => {
    try {
      const token = await holdfast.tokens.create({ name: name.trim(), permissions: ['*'] })
      setMade(token.token)
      setName('')
      onMade()
    } catch (error) {
      sayProblem(error)
    }
  }
  return (
    <div className="token-new">
      <Field
        label="Name of a new token"
        value={name}
        onChange={setName}
        hint="For a script or another machine. It may do what you may, apart from administration."
      />
      <Button icon="key" isDisabled={name.trim() === ''} onPress={() => void create()}>
        Create token
      </Button>
      {made && (
        <Notice tone="good">
          Copy it now, it is not shown again: <code className="break">{made}</code>
        </Notice>
      )}
    </div>
  )
}

export function Tokens() {
  const holdfast = useHoldfast()
  const { data, problem, reload } = useRecord('tokens', (client, signal) =>
    client.tokens.list({ limit: TOKENS_SHOWN, signal }),
  )
  const revoke = async (token: TokenWire) => {
    try {
      await holdfast.tokens.revoke(token.id)
      sayDone(`${token.name} is revoked`)
      reload()
    } catch (error) {
      sayProblem(error)
    }
  }
  return (
    <Panel title="Access tokens">
      <NewToken onMade={reload} />
      {problem && data === undefined && <Notice tone="bad">{sentenceOf(problem)}</Notice>}
      {data && data.items.length > 0 && (
        <ul className="tokens" aria-label="Access tokens">
          {data.items.map((token) => (
            <TokenLine key={token.id} token={token} onRevoke={() => void revoke(token)} />
          ))}
        </ul>
      )}
    </Panel>
  )
}
