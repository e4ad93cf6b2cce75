// Text from outside, made safe to keep: without passwords in URLs, escaped, and bounded.
import { beginning, withoutUserinfo } from '../secret.ts'

/** How much of one value is kept, in characters: enough for a user agent or a long path, too little to flood the log. */
const valueLimit = 1024

/** How much of one text is looked through, in characters: more than any limit, passwords that are taken out before it included. */
const mostRead = 65_536

// Printable ASCII without the backslash.
const printable = /^[\x20-\x5b\x5d-\x7e]*$/
const unprintable = /[^\x20-\x5b\x5d-\x7e]/gu

/**
 * The text with everything outside printable ASCII as `\xHH` or `\u{H}`, and the backslash doubled. Done to the value, not
 * in its JSON form, so that a line shown raw in a terminal or a browser can neither break nor steer it, and so that no
 * lone surrogate reaches canonical JSON, which has no form for one. What is cut off is marked with its length. User and
 * password of a URL are taken out; `scrub` takes out what else may not be kept, from what is left.
 */
export function safeText(text: string, limit = valueLimit, scrub?: (text: string) => string): string {
  const read = text.length > mostRead ? beginning(text.slice(0, endOf(text, mostRead))) : text
  const open = withoutUserinfo(read)
  const end = endOf(open, limit)
  let kept = end < open.length ? open.slice(0, end) : open
  if (scrub !== undefined) kept = scrub(kept)
  const safe = printable.test(kept) ? kept : kept.replace(unprintable, escaped)
  const left = open.length - end + text.length - read.length
  return left > 0 ? `${safe}[+${left}]` : safe
}

/** What numbers are written with, also as escapes in a URL. */
const ofNumbers = /[\d %+\-bBdD]/

/** Where to cut: not within a number, of which what is left could not be recognised for what it was. */
function endOf(text: string, limit: number): number {
  if (text.length <= limit) return text.length
  let end = limit
  if (ofNumbers.test(text[end]!)) while (end > 0 && ofNumbers.test(text[end - 1]!)) end--
  return end
}

/** An id that somebody else has made, on one line of visible ASCII. */
export function safeId(id: string, limit: number, scrub: (text: string) => string): string {
  const open = withoutUserinfo(id)
  return scrub(open.slice(0, endOf(open, limit))).replace(/[^\x21-\x7e]/g, '?')
}

function escaped(character: string): string {
  if (character === '\\') return '\\\\'
  const code = character.codePointAt(0)!
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`
}

// What shows as nothing, or moves what is around it: controls, format characters (bidi ones too), line separators. A lone
// surrogate has no form in canonical JSON.
const hidden = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu
const ambiguous = /\\(?=[\\xu\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}])/gu

/**
 * The host's own words, as a line has them: letters of every script stay, what does not show is escaped. Only a backslash
 * that could be read as the beginning of an escape is doubled, so that `CORP\alice` is found as it is written, and no two
 * texts become one.
 */
export const visible = (text: string): string => showing(text.replace(ambiguous, '\\\\'))

/** Escapes what does not show, and nothing else: does no harm to text that is escaped already. */
export const showing = (text: string): string => text.replace(hidden, escaped)
