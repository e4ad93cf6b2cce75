// Whether JSON that somebody else wrote says no more than what a parser makes of it.
import type { LoggedEvent } from './envelope.ts'

// Strings, each with the colon behind it where it is a key, and numbers. The text is known to be JSON: no other place looks like one.
const token = /"(?:[^"\\]|\\.)*"(\s*:)?|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g

/**
 * False where a key stands twice in an object, or a number is another one than that which JavaScript takes it for: such a text shows other readers
 * something else than what was parsed. `text` must be the JSON of `event`.
 */
export function saysJust(text: string, event: LoggedEvent): boolean {
  let keys = 0
  for (const [found, colon] of text.matchAll(token)) {
    if (colon !== undefined) keys++
    else if (!found.startsWith('"') && !isExact(found)) return false
  }
  return keys === countKeys(event)
}

function countKeys(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  const own = Array.isArray(value) ? 0 : Object.keys(value).length
  return Object.values(value).reduce((sum: number, one) => sum + countKeys(one), own)
}

const isExact = (number: string): boolean => decimal(number) === decimal(String(Number(number)))

/** One form for each number: its digits without zeros at the ends, and the power of ten of the last one. */
function decimal(number: string): string {
  const [, sign, whole = '', fraction = '', power = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(number) ?? []
  const digits = `${whole}${fraction}`.replace(/^0+/, '')
  const kept = digits.replace(/0+$/, '')
  return kept === '' ? '0' : `${sign}${kept}e${Number(power) - fraction.length + digits.length - kept.length}`
}
