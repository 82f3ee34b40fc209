import {
  Button as AriaButton,
  Select as AriaSelect,
  Label,
  ListBox,
  ListBoxItem,
  Popover,
  SelectValue,
} from 'react-aria-components'
import './field.css'
import { Icon } from './icon.tsx'
import './select.css'

export interface SelectOption {
  id: string
  name: string
}

/** One of many, in a list that drops down. */
export function Select({
  label,
  value,
  options,
  onChange,
}: {
  label: string
  value: string
  options: readonly SelectOption[]
  onChange: (id: string) => void
}) {
  return (
    <AriaSelect className="select" value={value} onChange={(id) => onChange(String(id ?? ''))}>
      <Label className="select-label">{label}</Label>
      <AriaButton className="select-button">
        <SelectValue className="clip" />
        <Icon name="down" size={14} />
      </AriaButton>
      <Popover className="popover">
        <ListBox className="select-list" items={options}>
          {(option) => (
            <ListBoxItem id={option.id} textValue={option.name} className="select-option">
              {option.name}
            </ListBoxItem>
          )}
        </ListBox>
      </Popover>
    </AriaSelect>
  )
}
