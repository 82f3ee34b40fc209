import { ChoiceCards } from '../../ui/choice.tsx'
import { Field } from '../../ui/field.tsx'
import type { Compression, Protection } from './protection.ts'

const COMPRESSION_CHOICES = [
  { value: 'zstd', title: 'Zstandard', detail: 'Fast and small. Right for nearly everything.' },
  { value: 'gzip', title: 'gzip', detail: 'Slower; opens with any tool there is.' },
  { value: 'none', title: 'None', detail: 'For photos, films and archives, which do not shrink.' },
] as const satisfies readonly { value: Compression; title: string; detail: string }[]

type Options = Pick<Protection, 'ignore' | 'compression'>

/** What is left out, and how the rest is packed. */
export function ProtectOptions({
  options,
  onChange,
}: {
  options: Options
  onChange: (change: Partial<Options>) => void
}) {
  return (
    <>
      <Field
        label="Ignore rules"
        lines={3}
        mono
        value={options.ignore}
        onChange={(ignore) => onChange({ ignore })}
        placeholder={'node_modules/\n*.tmp'}
        hint="One rule on each line, as in a .gitignore file. What matches is left out."
      />
      <ChoiceCards
        label="Compression"
        value={options.compression}
        choices={COMPRESSION_CHOICES}
        onChange={(compression) => onChange({ compression })}
      />
    </>
  )
}
