import { type FolderWire, HoldfastError } from '@holdfast/sdk'
import { useEffect, useMemo, useRef, useState } from 'react'
import { ListBox, ListBoxItem, ListLayout, Virtualizer } from 'react-aria-components'
import { useRecord } from '../../connection/connection.tsx'
import { Button } from '../../ui/button.tsx'
import { Field } from '../../ui/field.tsx'
import { Icon } from '../../ui/icon.tsx'
import { hiddenLast, parentOf } from './folder-list.ts'
import './folder-picker.css'

const ROW_HEIGHT = 36

function Folders({ folder, onChange }: { folder: FolderWire; onChange: (path: string) => void }) {
  const folders = useMemo(() => hiddenLast(folder.folders), [folder])
  return (
    <Virtualizer layout={ListLayout} layoutOptions={{ rowHeight: ROW_HEIGHT }}>
      <ListBox
        className="picker-list"
        aria-label={`Folders in ${folder.path}`}
        items={folders}
        onAction={(key) => onChange(String(key))}
        renderEmptyState={() => <p className="picker-empty small faint">No folders in here.</p>}
      >
        {({ name, path }) => (
          <ListBoxItem id={path} textValue={name} className="picker-folder">
            <Icon name="folder" size={16} />
            <span className="clip">{name}</span>
            <Icon name="right" size={14} />
          </ListBoxItem>
        )}
      </ListBox>
    </Virtualizer>
  )
}

const TYPING_MS = 250

/** Follows a text that is being typed, once it has come to rest. */
function useRested(text: string): string {
  const [rested, setRested] = useState(text)
  useEffect(() => {
    const timer = setTimeout(() => setRested(text), TYPING_MS)
    return () => clearTimeout(timer)
  }, [text])
  return rested
}

const whyNot = (problem: Error, missing: string): string =>
  problem instanceof HoldfastError && problem.status === 404 ? missing : problem.message

const useFolder = (path: string) =>
  useRecord(`folders:${path}`, (holdfast, signal) =>
    holdfast.folders(path === '' ? undefined : path, { signal }),
  )

/** A folder of the server: typed, or walked to. */
export function FolderPicker({
  label,
  path,
  hint,
  missing = 'no such folder',
  onChange,
}: {
  label: string
  path: string
  hint?: string
  /** What it means when the path is not there. */
  missing?: string
  onChange: (path: string) => void
}) {
  const looked = useRested(path)
  const { data: folder, problem: unread } = useFolder(looked)
  const { data: above } = useFolder(unread ? parentOf(looked) : looked)
  // While a path is being typed the last folder that was there stays in sight.
  const last = useRef<FolderWire | undefined>(undefined)
  const known = folder ?? above
  useEffect(() => {
    if (known) last.current = known
  }, [known])
  const shown = known ?? last.current
  const parent = shown?.parent ?? null
  return (
    <div className="picker">
      <Field
        label={label}
        mono
        value={path}
        onChange={onChange}
        placeholder={shown?.path ?? '/'}
        hint={hint}
      />
      <div className="picker-browser">
        <div className="picker-bar">
          <Button
            look="quiet"
            icon="up"
            iconOnly
            aria-label="Up one folder"
            isDisabled={parent === null}
            onPress={() => parent !== null && onChange(parent)}
          />
          <span className="mono small clip" title={shown?.path}>
            {shown?.path ?? '…'}
          </span>
          {unread && path !== '' && <span className="small faint">{whyNot(unread, missing)}</span>}
        </div>
        {shown && <Folders folder={shown} onChange={onChange} />}
      </div>
    </div>
  )
}
