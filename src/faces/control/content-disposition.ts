const LENGTH_MAX = 240

/**
 * `attachment` with a name, whatever the name is made of: for old readers in
 * plain ASCII (RFC 6266, appendix D), for all others in UTF-8 (RFC 8187). Only
 * the last part of a path is said, and nothing that could end the header.
 */
export function contentDisposition(name: string): string {
  // Half of a surrogate pair has no UTF-8.
  const last = (name.split(/[/\\]/).at(-1) ?? '').toWellFormed()
  const whole = shorten(withoutControls(last)) || 'download'
  const safe = whole === '.' || whole === '..' ? 'download' : whole
  const ascii = safe.replace(/[^\x20-\x7e]/g, '_').replace(/["\\%]/g, '_')
  const quoted = `attachment; filename="${ascii}"`
  return ascii === safe ? quoted : `${quoted}; filename*=UTF-8''${encodeExtended(safe)}`
}

/** Controls, and the marks that turn the reading direction: `exe.txt` must look like what it is. */
const withoutControls = (text: string): string =>
  text.replace(/[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, '_')

/** Keeps the end, where the extension is. */
const shorten = (text: string): string => {
  const characters = [...text]
  return characters.length <= LENGTH_MAX ? text : characters.slice(-LENGTH_MAX).join('')
}

/** RFC 8187, section 3.2.1: everything but `attr-char` is percent-encoded. */
const encodeExtended = (text: string): string =>
  encodeURIComponent(text).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
