import {
  Button as AriaButton,
  type ButtonProps as AriaButtonProps,
  Link as AriaLink,
  type LinkProps as AriaLinkProps,
} from 'react-aria-components'
import './button.css'
import { Icon, type IconName } from './icon.tsx'

export type ButtonLook = 'primary' | 'plain' | 'quiet' | 'danger'

interface Looks {
  look?: ButtonLook
  icon?: IconName
  /** Shows the icon alone; give an `aria-label` then. */
  iconOnly?: boolean
  children?: string
}

const classOf = (look: ButtonLook, iconOnly: boolean): string =>
  `button button-${look}${iconOnly ? ' button-icon-only' : ''}`

export function Button({
  look = 'plain',
  icon,
  iconOnly = false,
  children,
  ...rest
}: Looks & Omit<AriaButtonProps, 'children' | 'className'>) {
  return (
    <AriaButton {...rest} className={classOf(look, iconOnly)}>
      {icon && <Icon name={icon} size={16} />}
      {children && <span>{children}</span>}
    </AriaButton>
  )
}

/** A place to go that looks like a button. */
export function ButtonLink({
  look = 'plain',
  icon,
  iconOnly = false,
  children,
  ...rest
}: Looks & Omit<AriaLinkProps, 'children' | 'className'>) {
  return (
    <AriaLink {...rest} className={classOf(look, iconOnly)}>
      {icon && <Icon name={icon} size={16} />}
      {children && <span>{children}</span>}
    </AriaLink>
  )
}
