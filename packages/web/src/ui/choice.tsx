import type { ReactNode } from 'react'
import { Label, Radio, RadioGroup } from 'react-aria-components'
import './choice.css'

export interface Choice<Value extends string> {
  value: Value
  title: string
  detail?: ReactNode
  isDisabled?: boolean
}

/** One of a few, each with a plain sentence about what it does. */
export function ChoiceCards<Value extends string>({
  label,
  value,
  choices,
  onChange,
}: {
  label: string
  value: Value
  choices: readonly Choice<Value>[]
  onChange: (value: Value) => void
}) {
  const choose = (chosen: string) => {
    const choice = choices.find((candidate) => candidate.value === chosen)
    if (choice) onChange(choice.value)
  }
  return (
    <RadioGroup className="choices" value={value} onChange={choose}>
      <Label className="label">{label}</Label>
      <div className="choices-cards">
        {choices.map((choice) => (
          <Radio
            key={choice.value}
            value={choice.value}
            className="choice"
            aria-label={choice.title}
            isDisabled={choice.isDisabled ?? false}
          >
            <span className="choice-dot" aria-hidden="true" />
            <span className="choice-words">
              <span className="choice-title">{choice.title}</span>
              {choice.detail && <span className="choice-detail">{choice.detail}</span>}
            </span>
          </Radio>
        ))}
      </div>
    </RadioGroup>
  )
}
