import { Button } from '../../ui/button.tsx'
import type { IconName } from '../../ui/icon.tsx'
import { chooseTheme, THEMES, type Theme, useTheme } from '../../ui/theme.ts'

const LOOKS = {
  system: { name: 'as the system', icon: 'system' },
  light: { name: 'light', icon: 'sun' },
  dark: { name: 'dark', icon: 'moon' },
} as const satisfies Record<Theme, { name: string; icon: IconName }>

/** Goes round: as the system, light, dark. */
export function ThemeSwitch() {
  const theme = useTheme()
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? 'system'
  return (
    <Button
      look="quiet"
      icon={LOOKS[theme].icon}
      iconOnly
      aria-label={`Theme: ${LOOKS[theme].name}. Change to ${LOOKS[next].name}`}
      onPress={() => chooseTheme(next)}
    />
  )
}
