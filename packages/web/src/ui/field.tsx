import type { ReactNode } from 'react'
import {
  FieldError,
  Input,
  Label,
  Text,
  TextArea,
  TextField,
  type TextFieldProps,
} from 'react-aria-components'
import './field.css'

/** A labelled line, or lines, of text; the hint and the refusal stand below it. */
export function Field({
  label,
  hint,
  problem,
  lines,
  mono = false,
  placeholder = '',
  ...rest
}: {
  label: string
  hint?: ReactNode
  problem?: string | null
  lines?: number
  mono?: boolean
  placeholder?: string
} & Omit<TextFieldProps, 'children' | 'className' | 'isInvalid'>) {
  const look = mono ? 'field-box mono' : 'field-box'
  return (
    <TextField {...rest} isInvalid={Boolean(problem)} className="field">
      <Label>{label}</Label>
      {lines === undefined ? (
        <Input className={look} placeholder={placeholder} spellCheck={false} autoComplete="off" />
      ) : (
        <TextArea className={look} rows={lines} placeholder={placeholder} spellCheck={false} />
      )}
      {hint && (
        <Text slot="description" className="field-hint">
          {hint}
        </Text>
      )}
      <FieldError className="field-problem">{problem}</FieldError>
    </TextField>
  )
}
