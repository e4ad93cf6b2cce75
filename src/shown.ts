// How a fault tells a value that it found: its text where a text was expected, and otherwise its kind and length.
import { withoutUserinfo } from './secret.ts'

/** How many characters of a text are shown. */
const mostShown = 64

/** What a value is, and nothing of what it says. */
export function kindOf(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (value === null || typeof value === 'boolean') return String(value)
  if (typeof value === 'string') return value === '' ? 'empty text' : `a text of ${countOf(value)}`
  return Array.isArray(value) ? 'a list' : `${typeof value === 'object' ? 'an' : 'a'} ${typeof value}`
}

const countOf = ({ length }: string): string => (length === 1 ? '1 character' : `${length} characters`)

/** A text as the message of an error shows it: for who gave it, and in no line. What is PEM is told by its length. */
export function quoted(text: string): string {
  if (text === '' || text.includes('-----BEGIN ')) return kindOf(text)
  const shown = shownOf(text)
  return JSON.stringify(shown.length > mostShown ? `${shown.slice(0, mostShown)}…` : shown)
}

/** Neither user and password, also of what was to be a URL and is none, nor a query or a fragment. */
function shownOf(text: string): string {
  const open = withoutUserinfo(text)
  const end = open.search(/[?#]/)
  const before = end === -1 ? open : open.slice(0, end)
  const at = before.lastIndexOf('@')
  const shown = at === -1 ? before : `[${at}]${before.slice(at)}`
  return end === -1 ? shown : `${shown}${open[end]}[${open.length - end - 1}]`
}
