import { useRef, useState } from 'react'
import { Button as AriaButton, Disclosure, DisclosurePanel, Heading } from 'react-aria-components'
import { useConnection } from '../../connection/connection.tsx'
import { navigate } from '../../router/router.ts'
import { Button } from '../../ui/button.tsx'
import { Dialog } from '../../ui/dialog.tsx'
import { Equivalent } from '../../ui/equivalent.tsx'
import { Field } from '../../ui/field.tsx'
import { Icon } from '../../ui/icon.tsx'
import { Notice } from '../../ui/notice.tsx'
import { sentenceOf } from '../../ui/toast.tsx'
import { FolderPicker } from './folder-picker.tsx'
import { ProtectOptions } from './protect-options.tsx'
import {
  apiEquivalent,
  cliEquivalent,
  folderName,
  NOTHING_CHOSEN,
  type Protection,
  startProtection,
} from './protection.ts'

function useStart(onStarted: () => void) {
  const { holdfast, live } = useConnection()
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<string | null>(null)
  const made = useRef<{ key: string; id: string | null }>({ key: '', id: null })
  const start = async (protection: Protection) => {
    setBusy(true)
    setProblem(null)
    const key = JSON.stringify(protection)
    if (made.current.key !== key) made.current = { key, id: null }
    try {
      const operation = await startProtection(holdfast, protection, made.current)
      live.merge([operation])
      onStarted()
      navigate(`/operations/${operation.id}`)
    } catch (error) {
      setProblem(sentenceOf(error))
    } finally {
      setBusy(false)
    }
  }
  return { busy, problem, start }
}

function ProtectForm({ onClose }: { onClose: () => void }) {
  const [protection, setProtection] = useState(NOTHING_CHOSEN)
  const change = (part: Partial<Protection>) => setProtection((before) => ({ ...before, ...part }))
  const { busy, problem, start } = useStart(onClose)
  const foot = (
    <>
      <Button onPress={onClose}>Cancel</Button>
      <Button
        look="primary"
        icon="archive"
        isDisabled={busy || protection.path === ''}
        onPress={() => void start(protection)}
      >
        Start first backup
      </Button>
    </>
  )
  return (
    <Dialog
      title="Protect a folder"
      lead="Its first backup starts at once. Nothing in the folder is changed."
      isOpen
      wide
      onClose={onClose}
      foot={foot}
      summary={problem && <Notice tone="bad">{problem}</Notice>}
    >
      <FolderPicker
        label="Folder"
        path={protection.path}
        onChange={(path) => change({ path })}
        hint="A folder of the machine that Holdfast runs on."
      />
      <Field
        label="Name"
        value={protection.name}
        onChange={(name) => change({ name })}
        placeholder={folderName(protection.path)}
        hint="How it is called here. Left empty: the name of the folder."
      />
      <Disclosure className="equivalent">
        <Heading level={3}>
          <AriaButton slot="trigger" className="equivalent-trigger">
            <Icon name="right" size={14} />
            Ignore rules and compression
          </AriaButton>
        </Heading>
        <DisclosurePanel className="equivalent-panel">
          <ProtectOptions options={protection} onChange={change} />
        </DisclosurePanel>
      </Disclosure>
      <Equivalent
        cli={cliEquivalent(protection)}
        api={apiEquivalent(protection, location.origin)}
      />
    </Dialog>
  )
}

/** From nothing to a running backup. */
export function ProtectDialog({ isOpen, onClose }: { isOpen: boolean; onClose: () => void }) {
  return isOpen ? <ProtectForm onClose={onClose} /> : null
}
