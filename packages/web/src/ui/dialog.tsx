import type { ReactNode } from 'react'
import { Dialog as AriaDialog, Heading, Modal, ModalOverlay } from 'react-aria-components'
import { Button } from './button.tsx'
import './dialog.css'

/** A modal window with a title, a body that scrolls, and a foot that stays. */
export function Dialog({
  title,
  lead,
  isOpen,
  onClose,
  wide = false,
  role = 'dialog',
  children,
  summary,
  foot,
}: {
  title: string
  lead?: ReactNode
  isOpen: boolean
  onClose: () => void
  wide?: boolean
  role?: 'dialog' | 'alertdialog'
  children: ReactNode
  /** What will happen: always in sight above the buttons. */
  summary?: ReactNode
  foot: ReactNode
}) {
  return (
    <ModalOverlay
      className="veil"
      isOpen={isOpen}
      onOpenChange={(open) => !open && onClose()}
      isDismissable={role === 'dialog'}
    >
      <Modal className={wide ? 'modal modal-wide' : 'modal'}>
        <AriaDialog className="dialog" role={role}>
          <header className="dialog-head">
            <div>
              <Heading slot="title" level={2}>
                {title}
              </Heading>
              {lead && <p className="soft">{lead}</p>}
            </div>
            <Button look="quiet" icon="cross" iconOnly aria-label="Close" onPress={onClose} />
          </header>
          <div className="dialog-body">{children}</div>
          <footer className="dialog-foot">
            {summary && <div className="dialog-summary">{summary}</div>}
            {foot}
          </footer>
        </AriaDialog>
      </Modal>
    </ModalOverlay>
  )
}
